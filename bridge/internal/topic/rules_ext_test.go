package topic_test

import (
	"cmp"
	"testing"
	"testing/synctest"
	"time"
)

// The schedules by which each rule of docs/resuming.md was found. A client's story has its events and, in brackets, their
// ids; m0 is the backend's first message. Rules 6 and 7 are the bridge's: see its tests.

// Rule 1: m0(c1), m1(-), m2(c2), the RPC breaks and is opened at c1: neither is m1 dropped for a client nor m2 doubled.
func TestRule1MessagesAreCountedFromTheLastThatCarriedTheCursor(t *testing.T) {
	inScript(t, func(s *schedule) { s.rules.Repeats = true }, func(s *script) {
		c := s.comes(0, "")
		s.sends("c1 - c2")
		s.hears(c, "open(~e1-0) m0(~e1-1) m1(~e1-2) m2(c1~2)")
		s.breaks("-", errLost)
		s.pause()
		s.sends("c2")
		s.hears(c, "m3(c1~3)")
		s.sends("c3 -")
		s.hears(c, "m4(c2~1) m5(c2~2)")

		// Each id is a place, also at a bridge that has never seen it.
		for id, want := range map[string]string{
			"c1":   "open(c1) m1(c1~1) m2(c1~2) m3(c1~3) m4(c2~1) m5(c2~2)",
			"c1~2": "open(c1~2) m3(c1~3) m4(c2~1) m5(c2~2)",
			"c2~1": "open(c2~1) m5(c2~2)",
		} {
			for bridge := range s.bridges {
				again := s.comes(bridge, id)
				s.flows()
				s.hears(again, want)
			}
		}
	})
}

// Rule 2: c1 has left the log when a client starts at the oldest frame held; its stream-open is c1, which can be had
// however long it is away.
func TestRule2NoPositionAfterACursor(t *testing.T) {
	inScript(t, func(s *schedule) { s.held, s.log.Events = true, 2 }, func(s *script) {
		s.comes(0, "")
		s.sends("c1 - -")
		c := s.comes(0, "")
		c.cut()
		at := s.comes(0, "c1") // the id of the frame that was evicted last is held
		s.runs("-")
		s.hears(at, "open(c1) m1(c1~1) m2(c1~2)")
		s.sends("-")
		s.returns(c, 0)
		s.flows()
		s.hears(c, "open(c1) open(c1) m1(c1~1) m2(c1~2) m3(c1~3)")
	})
}

// Rule 3: c1 is complete; the RPC breaks, c1 is too old, and the first c2 is missed. The second c2 does not count from c1:
// an RPC opened there would have to drop the missed one, and send the seen one again.
func TestRule3NoCompleteCursorAfterAGap(t *testing.T) {
	inScript(t, func(s *schedule) { s.rules.Repeats = true }, func(s *script) {
		c := s.comes(0, "")
		s.sends("c1 c2")
		s.hears(c, "open(~e1-0) m0(~e1-1) m1(c1~1)")
		s.breaks("-", errLost)
		s.forgets(2)
		s.says("c2")
		s.pause()
		s.sends("c2")
		s.hears(c, "gap:expired(~e1-3) m3(~e1-4)")
		s.breaks("-", errLost)
		s.pause()
		s.sends("c3 c4")
		s.hears(c, "gap:upstream(~e1-5) m4(~e1-6) m5(c3~1)")
	})
}

// Rule 4: a client at the first position is cut, and a message and a gap come: the gap has a place of its own, so that it
// does not take the client past the message.
func TestRule4AGapHasItsOwnPlace(t *testing.T) {
	inScript(t, func(*schedule) {}, func(s *script) {
		c, stays := s.comes(0, ""), s.comes(0, "")
		c.cut()
		s.sends("-")
		s.breaks("-", errLost)
		s.pause()
		s.sends("c1")
		s.hears(stays, "open(~e1-0) m0(~e1-1) gap:upstream(~e1-2) m1(c1)")
		s.returns(c, 0)
		s.hears(c, "open(~e1-0) open(~e1-0) m0(~e1-1) gap:upstream(~e1-2) m1(c1)")

		// Cut right after the gap, a client returns behind it, and before what follows.
		s.hears(s.comes(0, "~e1-2"), "open(~e1-2) m1(c1)")
	})
}

// Rule 5: where each client has an RPC of its own, a stream-open without an id is no position of that RPC's, and neither
// is a gap after which it is opened without a cursor: another bridge can do as well.
func TestRule5OwnRPCsBeginWithoutAnID(t *testing.T) {
	inScript(t, func(s *schedule) { s.own, s.history = true, true }, func(s *script) {
		s.says("- - c3")
		c := s.comes(0, "")
		c.cut() // before any message
		s.returns(c, 1)
		s.flows()
		s.hears(c, "open(~0) open(~0) m0(~e2-1) m1(~e2-2) m2(c3)")

		// The second client of a bridge has one, too.
		second := s.comes(1, "")
		s.flows()
		s.hears(second, "open(~0) m0(~e3-1) m1(~e3-2) m2(c3)")

		// After a gap.
		c.cut()
		time.Sleep(time.Minute)
		s.says("c4 - c5")
		s.forgets(4)
		s.returns(c, 0)
		s.pause()
		s.hears(c, "open(c3) gap:expired(~0)")
		c.cut()
		s.returns(c, 1)
		s.flows()
		c.next = 4 // the snapshot's first
		s.hears(c, "open(~0) m4(~e6-1) m5(c5)")
	})
}

// Rule 7: a cursor that a log has twice means the newest one.
func TestRule7TheNewestOccurrenceCounts(t *testing.T) {
	inScript(t, func(s *schedule) { s.rules.NotAfter = inOrder }, func(s *script) {
		c := s.comes(0, "")
		s.sends("c1 c2 c3")
		s.hears(c, "open(~e1-0) m0(c1) m1(c2) m2(c3)")
		// The backend has lost its history, and counts from 1 again, but does not refuse c3.
		s.messages[0].cursor, s.messages[1].cursor = "", ""
		s.breaks("-", errLost)
		s.pause()
		s.restarts = true
		s.sends("c1 c2")
		s.hears(c, "gap:restarted(~e1-4) m3(c1) m4(c2)")
		s.hears(s.comes(0, "c1"), "open(c1) m4(c2)")
		s.runs("c3")
	})
}

// Rule 8: m0(c1), m1(-); X returns with c1~1 and Y with c1, and they share an RPC, which does not send X what it has, and
// sends Y all.
func TestRule8DroppingIsTheClients(t *testing.T) {
	inScript(t, func(*schedule) {}, func(s *script) {
		s.says("c1 -")
		x, y := s.comes(0, "c1~1"), s.comes(0, "c1")
		s.runs("c1", "-") // the catch-up, and the main log's
		s.flows()
		s.hears(x, "open(c1~1)")
		s.hears(y, "open(c1) m1(c1~1)")
		s.sends("c2")
		s.hears(x, "m2(c2)")
		s.hears(y, "m2(c2)")
		s.runs("-")
	})
}

// Rule 8: the skip goes with the client over a merge.
func TestRule8TheSkipSurvivesAMerge(t *testing.T) {
	inScript(t, func(s *schedule) { s.history = true }, func(s *script) {
		s.says("c1 - - c2")
		x := s.comes(0, "c1~1")
		s.delivers("-", 1) // main has c1, where the catch-up began
		s.runs("-")
		s.hears(x, "open(c1~1)")
		s.delivers("-", 1)
		s.hears(x, "")
		s.flows()
		s.hears(x, "m2(c1~2) m3(c2)")
	})
}

// Rule 9: of two catch-ups that hold each other's newest id, one goes on.
func TestRule9CatchUpsDoNotBothStop(t *testing.T) {
	inScript(t, func(*schedule) {}, func(s *script) {
		s.says("c1 c2 c3")
		y := s.comes(0, "c2") // RPC 2 is main's
		s.delivers("c2", 1)
		s.breaks("c2", errLost)
		x := s.comes(0, "c1")
		s.delivers("c1", 1)
		s.runs("-", "c1")
		s.delivers("c1", 1) // c3, which both have now
		s.pause()
		s.runs("-", "c1")
		s.sends("c4")
		s.runs("-")
		s.settles(y, "open(c2) m2(c3) m3(c4)")
		s.settles(x, "open(c1) m1(c2) m2(c3) m3(c4)")
		s.runs("-")
	})
}

// Rule 9, the same where both have an RPC in the moment at which they meet.
func TestRule9OneOfTwoWithAnRPC(t *testing.T) {
	inScript(t, func(*schedule) {}, func(s *script) {
		s.says("c1 c2 c3")
		y, x := s.comes(0, "c2"), s.comes(0, "c1")
		s.runs("c2", "-", "c1")
		s.delivers("c2", 1)
		s.delivers("c1", 1) // c2, where y's began
		s.runs("c2", "-")
		s.sends("c4")
		s.runs("-")
		s.settles(y, "open(c2) m2(c3) m3(c4)")
		s.settles(x, "open(c1) m1(c2) m2(c3) m3(c4)")
		s.runs("-")
	})
}

// Rule 9: a main log whose RPC is broken is no target, for its cursor may be refused.
func TestRule9NoMergeIntoABrokenLog(t *testing.T) {
	inScript(t, func(s *schedule) { s.log.Events = 2 }, func(s *script) {
		main := s.comes(0, "")
		s.sends("c1 c2")
		s.hears(main, "open(~e1-0) m0(c1) m1(c2)")
		s.sends("c3 c4")
		s.hears(main, "m2(c3) m3(c4)")
		x := s.comes(0, "c1")
		s.breaks("-", errLost)
		s.delivers("c1", 2)
		s.hears(x, "open(c1) m1(c2) m2(c3)")
		s.delivers("c1", 1) // c4, which main holds, too
		s.runs("c1")
		s.says("c5 c6")
		s.forgets(5)
		s.delivers("c1", 1)
		s.hears(x, "m3(c4) m4(c5)")
		s.delivers("c1", 1)
		s.pause() // main is opened again, and told that its cursor is too old
		s.runs("c1", "-")
		s.hears(x, "m5(c6)")
		s.hears(main, "gap:expired(~e1-5)")
		s.sends("c7 c8")
		s.runs("-")
		s.settles(x, "m6(c7) m7(c8)")
		s.settles(main, "m6(c7) m7(c8)")
	})
}

// Rule 9: an id that a log holds before its newest gap is no place to merge at either.
func TestRule9NoMergeBeforeAGap(t *testing.T) {
	inScript(t, func(s *schedule) { s.log.Events = 3 }, func(s *script) {
		main := s.comes(0, "")
		s.sends("c1 c2 c3")
		s.hears(main, "open(~e1-0) m0(c1) m1(c2) m2(c3)")
		s.breaks("-", errLost)
		s.says("c4")
		s.forgets(4)
		s.pause()
		s.sends("c5")
		s.hears(main, "gap:expired(~e1-4) m4(c5)")
		s.forgets(0) // the backend has found its history again
		x := s.comes(0, "c1")
		s.delivers("c1", 2) // c2 and c3, which main holds before its gap
		s.hears(x, "open(c1) m1(c2) m2(c3)")
		s.runs("-", "c1")
		s.settles(x, "m3(c4) m4(c5)")
		s.runs("-")
	})
}

// Rule 9: the log that a catch-up has merged into may be gone when a slow client has read the catch-up's.
func TestRule9TheTargetIsGone(t *testing.T) {
	inScript(t, func(*schedule) {}, func(s *script) {
		s.says("c1 c2")
		x, y := s.comes(0, "c1"), s.comes(0, "c2")
		s.delivers("c1", 1) // c2, where y's log begins
		s.runs("-", "c2")
		y.cut()
		time.Sleep(time.Minute)
		synctest.Wait()
		s.runs("-")
		s.settles(x, "open(c1) m1(c2)")
		s.sends("c3 c4")
		s.settles(x, "m2(c3) m3(c4)")
		s.runs("-")
	})
}

// Rule 9: a catch-up that is ahead of main waits for it.
func TestRule9ACatchUpWaitsForMain(t *testing.T) {
	inScript(t, func(*schedule) {}, func(s *script) {
		s.says("c1")
		x := s.comes(0, "c1")
		s.says("c2 c3 c4 c5 c6 c7 c8")
		s.delivers("c1", 2)
		s.delivers("-", 1)                            // main has c2
		if taken := s.delivers("c1", 10); taken > 1 { // one that it waited for already
			s.t.Fatalf("the catch-up has taken %d messages more, and is ahead", taken)
		}
		s.delivers("-", 2)
		s.runs("-")
		s.flows()
		s.hears(x, "open(c1) m1(c2) m2(c3) m3(c4) m4(c5) m5(c6) m6(c7) m7(c8)")
	})
}

// Rule 9: who has to change logs and finds that main has moved on gets another catch-up, and no gap.
func TestRule9MainHasMovedOn(t *testing.T) {
	inScript(t, func(s *schedule) { s.log.Events = 2 }, func(s *script) {
		s.says("c1")
		x := s.comes(0, "c1")
		s.sends("c2")
		s.runs("-")
		s.sends("c3 c4 c5 c6")
		x.read(1) // c2, and what follows is no more held
		x.read(1)
		s.flows()
		s.hears(x, "open(c1) m1(c2) m2(c3) m3(c4) m4(c5) m5(c6)")
		s.runs("-")
	})
}

// Rule 10: log of 3, history of 10, a backend faster than its client.
func TestRule10ACatchUpWaitsForItsClients(t *testing.T) {
	for name, id := range map[string]string{"catch-up": "c0", "own": ""} {
		t.Run(name, func(t *testing.T) {
			inScript(t, func(s *schedule) { s.log.Events, s.own, s.history = 3, id == "", id == "" }, func(s *script) {
				s.says("c0 c1 c2 c3 c4 c5 c6 c7 c8 c9")
				if id == "" {
					s.messages[0].cursor = ""
					s.comes(0, "") // main's
				}
				c := s.comes(0, id)
				rpc := cmp.Or(id, "-")
				if taken := s.delivers(rpc, 10); taken != 3 {
					s.t.Fatalf("%d messages were taken, want the 3 that the log holds", taken)
				}
				for range 20 {
					c.read(1)
					s.delivers(rpc, 10)
				}
				if c.sub == nil || c.next != 10 {
					s.t.Fatalf("the client has come to m%d, with %v", c.next, c.heard)
				}
			})
		})
	}
}

// Rule 10: nobody is evicted by another client of the same catch-up.
func TestRule10TheSlowestCounts(t *testing.T) {
	inScript(t, func(s *schedule) { s.log.Events = 3 }, func(s *script) {
		s.says("c0 c1 c2 c3 c4 c5")
		slow, fast := s.comes(0, "c0"), s.comes(0, "c0")
		s.delivers("c0", 10)
		s.hears(fast, "open(c0) m1(c1) m2(c2) m3(c3)")
		if s.delivers("c0", 1) != 0 {
			s.t.Fatal("the RPC goes on under a client that has not read")
		}
		s.hears(slow, "open(c0) m1(c1) m2(c2) m3(c3)")
		s.delivers("c0", 10)
		s.hears(fast, "m4(c4) m5(c5)")
		slow.cut() // and stays no hindrance
		s.sends("c6 c7 c8 c9")
		s.hears(fast, "m6(c6) m7(c7) m8(c8) m9(c9)")
	})
}

// Rule 11: where the orders differ, nothing is found by cursor and nothing merges; equal cursors share.
func TestRule11UnorderedRPCsStayApart(t *testing.T) {
	inScript(t, func(s *schedule) { s.unordered = true }, func(s *script) {
		main := s.comes(0, "")
		s.sends("c1 c2")
		x, y, z := s.comes(0, "c1"), s.comes(0, "c1"), s.comes(0, "c2")
		s.runs("-", "c1", "c2")
		s.flows()
		s.sends("c3")
		s.runs("-", "c1", "c2")
		s.hears(main, "open(~e1-0) m0(c1) m1(c2) m2(c3)")
		s.hears(x, "open(c1) m1(c2) m2(c3)")
		s.hears(y, "open(c1) m1(c2) m2(c3)")
		s.hears(z, "open(c2) m2(c3)")
	})
}

// Rule 12: with unique cursors, keep-alive messages that are not sent again do not make the bridge drop what is new.
func TestRule12ACursorEndsTheDropping(t *testing.T) {
	inScript(t, func(*schedule) {}, func(s *script) {
		c := s.comes(0, "")
		s.sends("c1 k k")
		s.hears(c, "open(~e1-0) m0(c1) m1(c1~1) m2(c1~2)")
		s.breaks("-", errLost)
		s.says("c2")
		s.pause()
		s.flows()
		s.expectNext(c, 3)
		s.hears(c, "m3(c2)")
		s.sends("k")
		s.hears(c, "m4(c2~1)")
		// The client's own dropping likewise.
		s.says("c3")
		again := s.comes(1, "c2~1")
		s.flows()
		s.hears(again, "open(c2~1) m5(c3)")
	})
}

// Rule 12: a gap cancels the dropping of a client: what follows it is not what the client has.
func TestRule12AGapCancelsTheDropping(t *testing.T) {
	inScript(t, func(*schedule) {}, func(s *script) {
		main := s.comes(0, "")
		s.sends("c1")
		s.breaks("-", errLost)
		s.says("-")
		s.forgets(2)
		s.pause()
		x := s.comes(0, "c1~1") // it has m1 from another bridge
		s.sends("- -")
		s.hears(main, "open(~e1-0) m0(c1) gap:expired(~e1-2) m2(~e1-3) m3(~e1-4)")
		s.hears(x, "open(c1~1) gap:expired(~e1-2) m2(~e1-3) m3(~e1-4)")
	})
}

// Rule 13: an RPC that has delivered nothing is opened anew without a gap, also after one.
func TestRule13NothingDeliveredNothingMissed(t *testing.T) {
	inScript(t, func(*schedule) {}, func(s *script) {
		c := s.comes(0, "")
		for range 3 {
			s.breaks("-", errLost)
			s.pause()
		}
		s.sends("-")
		s.hears(c, "open(~e1-0) m0(~e1-1)")
		for range 3 {
			s.breaks("-", errLost)
			s.pause()
		}
		s.sends("c1")
		s.hears(c, "gap:upstream(~e1-2) m1(c1)")
	})
}

// Rule 14: a finished log is not found by cursor any more once the next RPC is open.
func TestRule14AFinishedLogIsNotFoundAgain(t *testing.T) {
	inScript(t, func(s *schedule) { s.history, s.ends = true, true }, func(s *script) {
		first := s.comes(0, "")
		s.sends("- c1")
		s.breaks("-", ok)
		first.cut()
		tail := s.comes(0, "c1") // still the newest log
		s.runs()
		tail.cut()
		c := s.comes(0, "")
		s.flows()
		s.hears(c, "open(~e2-0) m0(~e2-1) m1(c1)")
		c.cut()
		s.returns(c, 0)
		s.sends("c2")
		s.hears(c, "open(c1) m2(c2)")
		s.runs("-")

		// By its own positions it is.
		old := s.comes(0, "~e1-1")
		if old.sub.Topic.Epoch() != s.epochs[0] {
			s.t.Fatal("a position of the finished log is not found in it")
		}
	})
}

// Rule 14: the end of a catch-up is the end, also where another log comes to hold the message before it.
func TestRule14AFinishedCatchUpDoesNotMerge(t *testing.T) {
	inScript(t, func(s *schedule) { s.ends = true }, func(s *script) {
		s.says("c1 c2 c3")
		x := s.comes(0, "c2")
		s.delivers("c2", 1)
		s.breaks("c2", ok)
		y := s.comes(0, "c1")
		s.delivers("c1", 2) // c3, after which x's stream has ended
		s.hears(x, "open(c2) m2(c3) end:<nil>(c3~end)")
		s.hears(y, "open(c1) m1(c2) m2(c3)")
		s.runs("-", "c1")
	})
}

// Rule 15: the log of an RPC of its own lingers, also when it has merged: its positions are nowhere else.
func TestRule15AnOwnLogLingers(t *testing.T) {
	inScript(t, func(s *schedule) { s.own, s.history = true, true }, func(s *script) {
		s.says("- - c3")
		main := s.comes(0, "")
		s.flows()
		s.hears(main, "open(~0) m0(~e1-1) m1(~e1-2) m2(c3)")
		c := s.comes(0, "")
		s.delivers("-", 2)
		c.read(1)
		c.cut()
		s.delivers("-", 1)
		time.Sleep(4 * time.Second)
		s.returns(c, 0)
		s.flows()
		s.hears(c, "open(~0) m0(~e2-1) open(~e2-1) m1(~e2-2) m2(c3)")

		other := s.comes(0, "")
		s.delivers("-", 3) // it has merged
		other.read(1)
		other.cut()
		time.Sleep(4 * time.Second)
		s.returns(other, 0)
		s.hears(other, "open(~0) m0(~e3-1) open(~e3-1) m1(~e3-2) m2(c3)")
	})
}

// Rule 15: so does a catch-up's whose newest id is a position.
func TestRule15ACatchUpWithPositionsLingers(t *testing.T) {
	for _, unordered := range []bool{false, true} {
		inScript(t, func(s *schedule) { s.unordered = unordered }, func(s *script) {
			s.says("c1 c2")
			s.forgets(2)
			c := s.comes(0, "c1")
			s.pause()
			s.hears(c, "open(c1) gap:expired(~e1-1)")
			c.cut()
			time.Sleep(4 * time.Second)
			s.says("- c3")
			s.returns(c, 0)
			s.flows()
			s.hears(c, "open(~e1-1) m2(~e1-2) m3(c3)")
		})
	}
}

// Rule 16: an RPC that ends with OK is opened again at the last cursor, without one after a gap.
func TestRule16ReopenedAfterOK(t *testing.T) {
	inScript(t, func(s *schedule) { s.reopen, s.ends = true, true }, func(s *script) {
		c := s.comes(0, "")
		s.sends("-")
		s.breaks("-", ok)
		s.pause()
		s.sends("c1 -")
		s.breaks("-", ok)
		s.says("c2")
		s.pause()
		s.flows()
		s.hears(c, "open(~e1-0) m0(~e1-1) gap:upstream(~e1-2) m1(c1) m2(c1~1) m3(c2)")
		s.runs("c1")
	})
}
