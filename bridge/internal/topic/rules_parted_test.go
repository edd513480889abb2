package topic_test

import (
	"strconv"
	"testing"
	"time"
)

// inSmallLog plays with a log of three events, and a backend that has ten.
func inSmallLog(t *testing.T, play func(s *script)) {
	t.Helper()
	inScript(t, func(s *schedule) { s.log.Events, s.ends = 3, true }, func(s *script) {
		s.says("c0 c1 c2 c3 c4 c5 c6 c7 c8 c9")
		play(s)
	})
}

const (
	fromC0 = "open(c0) m1(c1) m2(c2) m3(c3) m4(c4) m5(c5) m6(c6) m7(c7) m8(c8) m9(c9)"
	fromC1 = "open(c1) m2(c2) m3(c3) m4(c4) m5(c5) m6(c6) m7(c7) m8(c8) m9(c9)"
)

// parts brings two clients at one cursor. One of them is frozen until it is parted from
// the other, and then has a log of its own, which begins after c1.
func (s *script) parts() (parted, fast *browser) {
	s.t.Helper()
	parted, fast = s.freezesOne()
	s.hears(fast, fromC0)
	s.runs("-", "c0")
	parted.thaw()
	return parted, fast
}

// Rule 10: a client that takes an event now and then is parted like one that takes
// nothing, and has all of its events at its own pace.
func TestRule10AClientOfASlowLinkIsParted(t *testing.T) {
	inSmallLog(t, func(s *script) {
		slow, fast := s.comes(0, "c0"), s.comes(0, "c0")
		slow.slows(100 * time.Millisecond)
		s.flows()
		s.passes(400*time.Millisecond, slow, fast)
		s.heard(fast, fromC0)
		s.passes(time.Second, slow)
		s.heard(slow, fromC0)
		s.sends("c10")
		s.settles(fast, "m10(c10)")
		s.passes(200*time.Millisecond, slow)
		s.heard(slow, "m10(c10)")
		s.runs("-")
	})
}

// Rule 10: a client that takes its part of a replay without a pause for long is not
// parted, and neither is one on a log that its backend fills more slowly than it reads.
func TestRule10AClientThatKeepsPaceIsNotParted(t *testing.T) {
	inSmallLog(t, func(s *script) {
		slow, fast := s.comes(0, "c0"), s.comes(0, "c0")
		slow.slows(50 * time.Millisecond)
		s.delivers("c0", 1)
		for range 8 {
			s.passesQuietly(100*time.Millisecond, slow, fast)
			s.delivers("c0", 1)
		}
		s.passesQuietly(100*time.Millisecond, slow, fast)
		s.heard(fast, fromC0)
		s.heard(slow, fromC0)
		s.runs("-", "c0")
	})
}

// Rule 10: only the clients at the lowest position owe the others the time. One that is
// being written to meanwhile, ahead of them, does not keep anybody waiting.
func TestRule10OnlyTheLastReaderOwes(t *testing.T) {
	inSmallLog(t, func(s *script) {
		last, next, ahead, fast := s.comes(0, "c0"), s.comes(0, "c0"), s.comes(0, "c0"), s.comes(0, "c0")
		s.delivers("c0", 3)
		last.freeze()
		ahead.read(1)
		ahead.freeze() // while it is written m2, the log waits for another client
		s.passesQuietly(200*time.Millisecond, next, fast)
		ahead.thaw()
		s.passesQuietly(100*time.Millisecond, next, ahead, fast)
		s.delivers("c0", 3)
		s.passesQuietly(25*time.Millisecond, next, ahead, fast)
		s.heard(fast, "open(c0) m1(c1) m2(c2) m3(c3) m4(c4) m5(c5) m6(c6)")
		s.delivers("c0", 3)
		next.freeze()
		ahead.read(1)
		ahead.freeze()
		s.passesQuietly(150*time.Millisecond, fast)
		ahead.thaw()
		s.passesQuietly(150*time.Millisecond, ahead, fast)
		s.heard(fast, "m7(c7) m8(c8) m9(c9)")
		s.heard(ahead, fromC0)
		s.runs("-", "c0") // ahead has no RPC of its own
	})
}

// Rule 10: the time counts in all. A client that comes to the head now and then is parted
// as well, when it has kept the others waiting for 250 ms in a short time.
func TestRule10ShortWaitsAddUp(t *testing.T) {
	inSmallLog(t, func(s *script) {
		slow, fast := s.comes(0, "c0"), s.comes(0, "c0")
		for range 3 {
			s.delivers("c0", 3)
			fast.read(3)
			slow.freeze()
			time.Sleep(110 * time.Millisecond) // four samples
			slow.thaw()
			slow.read(2)
		}
		s.runs("-", "c0", "c7") // it was being written c7 when it was parted
		s.settles(slow, fromC0)
	})
}

// Rule 10: a client that keeps the others waiting for less than a tenth of the time is
// never parted, however long that goes on.
func TestRule10ATenthOfTheTimeIsForgiven(t *testing.T) {
	inScript(t, func(s *schedule) { s.log.Events = 3 }, func(s *script) {
		for i := range 61 {
			s.says("c" + strconv.Itoa(i))
		}
		slow, fast := s.comes(0, "c0"), s.comes(0, "c0")
		for range 20 {
			s.delivers("c0", 3)
			fast.read(3)
			slow.sub.Sending(slow.position + 1)
			time.Sleep(40 * time.Millisecond)
			slow.sub.Progress(slow.position)
			time.Sleep(time.Second) // the log is full, and the bridge has not come round to the client
			slow.read(3)
		}
		s.runs("-", "c0")
	})
}

// Rule 10: the time in which the bridge did not come round to a client is not held
// against it when it is written to at last.
func TestRule10WaitingForTheBridgeIsNotOwed(t *testing.T) {
	inSmallLog(t, func(s *script) {
		late, fast := s.comes(0, "c0"), s.comes(0, "c0")
		s.delivers("c0", 3)
		s.passesQuietly(time.Second, fast)
		late.freeze()
		s.passesQuietly(50*time.Millisecond, fast)
		late.thaw()
		s.passes(25*time.Millisecond, late, fast)
		s.heard(late, fromC0)
		s.heard(fast, fromC0)
		s.runs("-", "c0")
	})
}

// Rule 10: a client that is parted while it is still sent its first block keeps its
// ordinal, though it has passed nothing yet.
func TestRule10AnOrdinalIsKeptBeforeTheFirstEvent(t *testing.T) {
	inScript(t, func(s *schedule) { s.log.Events = 3 }, func(s *script) {
		s.says("c0 - - c1 c2 c3 c4")
		parted, fast := s.comes(0, "c0~2"), s.comes(0, "c0")
		parted.sub.Sending(parted.position)
		s.delivers("c0", 3)
		s.passesQuietly(300*time.Millisecond, fast)
		parted.sub.Progress(parted.position)
		s.settles(parted, "open(c0~2) m3(c1) m4(c2) m5(c3) m6(c4)")
		s.settles(fast, "open(c0) m1(c0~1) m2(c0~2) m3(c1) m4(c2) m5(c3) m6(c4)")
	})
}

// Rule 10: logs from which clients were parted meet main alone. Where the stream of main
// has ended, they get another one, or each RPC would go on for good.
func TestRule10TheOthersHaveARunningMain(t *testing.T) {
	inSmallLog(t, func(s *script) {
		var slow, fast []*browser
		for _, id := range []string{"c0", "c0", "c3", "c3"} {
			c := s.comes(0, id)
			if len(slow) <= len(fast) {
				slow = append(slow, c)
			} else {
				fast = append(fast, c)
			}
		}
		s.flows()
		s.breaks("-", ok)
		for _, c := range slow {
			c.freeze()
		}
		s.passes(300*time.Millisecond, fast...)
		for _, c := range slow {
			c.cut()
		}
		s.sends("c10")
		s.settles(fast[0], fromC0+" m10(c10)")
		s.settles(fast[1], "open(c3) m4(c4) m5(c5) m6(c6) m7(c7) m8(c8) m9(c9) m10(c10)")
		s.runs("-")
	})
}

// Rule 10: no other catch-up merges into the log of a slow client, nor that log into
// another catch-up, whichever comes first to where the other stands. Else the clients of
// the one would find their place in no log and have another RPC opened, and the client
// of the other would hold up others again.
func TestRule10NothingMergesWithASlowClientsLog(t *testing.T) {
	for _, first := range []bool{true, false} {
		inSmallLog(t, func(s *script) {
			parted, fast := s.parts()
			if first {
				s.settles(parted, fromC0)
			}
			third := s.comes(0, "c0")
			s.settles(third, fromC0)
			if !first {
				s.settles(parted, fromC0)
			}
			s.settles(third, "")
			s.runs("-", "c0", "c0", "c1")
			s.sends("c10")
			for _, b := range []*browser{parted, fast, third} {
				s.settles(b, "m10(c10)")
			}
			s.runs("-") // main takes in all
		})
	}
}

// Rule 10: the log of a slow client is found by no cursor, also when its RPC has been
// lost and opened again.
func TestRule10ASlowClientsLogStaysItsOwn(t *testing.T) {
	inSmallLog(t, func(s *script) {
		parted, _ := s.parts()
		parted.read(2) // m2, by its own RPC
		parted.freeze()
		s.flows()
		s.breaks("c1", errLost)
		s.pause()
		s.flows()
		other := s.comes(0, "c2")
		s.passes(25*time.Millisecond, other)
		s.hears(other, "open(c2) m3(c3) m4(c4) m5(c5) m6(c6) m7(c7) m8(c8) m9(c9)")
	})
}

// Rule 10: a client that is parted goes to a log of its own, and not to a catch-up that
// others have opened at its cursor meanwhile.
func TestRule10APartedClientSharesNoLog(t *testing.T) {
	inSmallLog(t, func(s *script) {
		parted, _ := s.freezesOne()
		other := s.comes(0, "c1")
		s.flows()
		parted.thaw()
		parted.read(1) // it is placed after c1
		s.runs("-", "c0", "c1", "c1")
		parted.freeze()
		s.passes(25*time.Millisecond, other)
		s.hears(other, fromC1)
	})
}

// Rule 10: nor is it put back into the log from which it was parted, where that still
// holds its place.
func TestRule10APartedClientDoesNotReturn(t *testing.T) {
	inScript(t, func(s *schedule) { s.log.Events = 3 }, func(s *script) {
		s.says("c0 c1 c2 c3")
		parted, fast := s.freezesOne()
		parted.thaw()
		parted.read(1)
		s.runs("-", "c0", "c1")
		parted.freeze()
		s.says("c4 c5 c6 c7 c8")
		s.passes(25*time.Millisecond, fast)
		s.hears(fast, "open(c0) m1(c1) m2(c2) m3(c3) m4(c4) m5(c5) m6(c6) m7(c7) m8(c8)")
	})
}

// Rule 10: nor into a main log that is held for others.
func TestRule10APartedClientDoesNotReturnToMain(t *testing.T) {
	inScript(t, func(s *schedule) { s.own, s.history, s.log.Events = true, true, 3 }, func(s *script) {
		s.says("c0 c1 c2 c3")
		first := s.comes(0, "")
		s.flows()
		first.read(1)
		s.flows()
		second := s.comes(0, "c0") // main holds c0, and waits for its readers
		third := s.comes(0, "c0")
		s.runs("-")
		second.freeze()
		s.passes(300*time.Millisecond, third)
		second.thaw()
		second.read(1)
		s.runs("-", "c1")
	})
}

// Rule 10: the stream of main has ended while the RPC of a catch-up goes on. A client
// that is parted gets another main, or its RPC would meet no log and go on for good.
func TestRule10APartedClientHasARunningMain(t *testing.T) {
	for _, before := range []bool{true, false} {
		inSmallLog(t, func(s *script) {
			var parted, fast *browser
			if before {
				parted, fast = s.comes(0, "c0"), s.comes(0, "c0")
				s.flows()
				parted.freeze()
				s.breaks("-", ok)
				s.passes(300*time.Millisecond, fast)
				s.hears(fast, fromC0)
				parted.thaw()
				parted.read(1)
			} else {
				parted, fast = s.parts()
				parted.read(1)
				s.breaks("-", ok)
			}
			s.settles(parted, fromC0)
			s.runs("-", "c0", "c1")
			s.sends("c10")
			s.settles(fast, "m10(c10)")
			s.settles(parted, "m10(c10)")
			s.runs("-")
		})
	}
}

// Rule 10: main loses its RPC while only parted clients are left. These do not come
// back to have it opened, so their own log has it opened again.
func TestRule10APartedClientKeepsMain(t *testing.T) {
	inSmallLog(t, func(s *script) {
		parted, fast := s.parts()
		parted.read(1)
		fast.cut()
		s.breaks("-", errRetry)
		s.pause()
		s.settles(parted, fromC0)
		s.runs("-", "c1")
		s.sends("c10")
		s.settles(parted, "m10(c10)")
		s.runs("-")
	})
}

// passesQuietly lets time pass in which the backend sends nothing.
func (s *script) passesQuietly(d time.Duration, clients ...*browser) {
	const tick = 25 * time.Millisecond
	for range d / tick {
		for _, b := range clients {
			b.read(1000)
		}
		time.Sleep(tick)
	}
	for _, b := range clients {
		b.read(1000)
	}
}

// Rule 10: main is held for a slow client whose place has no cursor, and for no other: the others keep up, and so are no readers that
// could be placed again. They do not wait for it; it lags.
func TestRule10ClientsThatKeepUpWithMainDoNotWait(t *testing.T) {
	inScript(t, ownInSmallLog, func(s *script) {
		s.says("c0 c1 c2")
		slow := s.comes(0, "")
		s.flows()
		slow.read(3)
		fast := s.comes(0, "c1")
		for i := range 6 {
			s.sends("c" + strconv.Itoa(3+i))
			fast.read(1000)
			slow.read(min(i, 1)) // never to the head
		}
		s.runs("-")
		s.breaks("-", errLost)
		s.says("c9")
		s.forgets(len(s.messages))
		s.says("- - - - - - c99")
		s.pause()
		s.flows()
		fast.read(1000)
		slow.read(3) // behind the gap and a message without a cursor
		slow.freeze()
		s.passes(200*time.Millisecond, fast)
		s.heard(fast, "open(c1) m2(c2) m3(c3) m4(c4) m5(c5) m6(c6) m7(c7) m8(c8) gap:expired(~0) m10(~e1-11) m11(~e1-12) m12(~e1-13) m13(~e1-14)")
		s.passes(100*time.Millisecond, fast)
		s.heard(fast, "m14(~e1-15) m15(~e1-16) m16(c99)")
	})
}

// Rule 10: a client that was parted, and whose own log has met main, shares a log with others again. Main has moved on before it had
// read all of its own, so it needs another catch-up.
func TestRule10APartedClientSharesAgain(t *testing.T) {
	inSmallLog(t, func(s *script) {
		parted, fast := s.parts()
		parted.read(1)
		s.sends("c10 c11")
		fast.read(1000)
		for range 2 {
			parted.read(3)
			s.flows()
		}
		s.runs("-") // its log has come to m10, which main holds
		s.sends("c12 c13 c14")
		parted.read(4)
		s.runs("-", "c10")
		other := s.comes(0, "c10")
		s.runs("-", "c10")
		const rest = " m11(c11) m12(c12) m13(c13) m14(c14)"
		s.settles(other, "open(c10)"+rest)
		s.settles(parted, fromC0+" m10(c10)"+rest)
	})
}
