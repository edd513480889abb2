package topic_test

import (
	"cmp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

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

// Rule 9: a client that has to change logs and finds that main has moved on gets another catch-up,
// and no gap.
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

// Rule 10: no client is evicted by another client of the same catch-up.
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

// Rule 8: equal cursors share a catch-up as long as it holds all that came after the cursor.
func TestRule8SharedWhileNothingIsMissing(t *testing.T) {
	inScript(t, func(s *schedule) { s.log.Events = 2 }, func(s *script) {
		s.says("c1")
		x := s.comes(0, "c1")
		s.says("c2 c3 c4 c5")
		s.delivers("c1", 2)
		s.comes(0, "c1")
		s.runs("-", "c1")
		s.clients[1].cut()
		s.hears(x, "open(c1) m1(c2) m2(c3)")
		s.delivers("c1", 2) // in the place of c2 and c3
		y := s.comes(0, "c1")
		s.runs("-", "c1", "c1")
		s.settles(x, "m3(c4) m4(c5)")
		s.settles(y, "open(c1) m1(c2) m2(c3) m3(c4) m4(c5)")
		s.runs("-")
	})
}

// A catch-up that has brought nothing merges into main. Its clients need not wait for its first message, which never comes.
func TestAMergedCatchUpHasMessages(t *testing.T) {
	inScript(t, func(s *schedule) { s.history = true }, func(s *script) {
		s.says("c1 c2")
		c := s.comes(0, "c1")
		s.delivers("-", 1) // main has c1, where the catch-up began
		s.runs("-")
		if status := c.sub.Topic.Status(); !status.Messages || status.Phase != topic.Live {
			s.t.Errorf("the status is %+v", status)
		}
		s.settles(c, "open(c1) m1(c2)")
	})
}

// Rule 8: an ordinal may count events that never come, since the client has made it up or the backend sends fewer
// messages without a cursor. The client gets all that follows, and its catch-up merges as if it had come without one.
func TestRule8AnOrdinalOfEventsThatDoNotComeDelaysNoMerge(t *testing.T) {
	inScript(t, func(s *schedule) { s.log.Events = 2 }, func(s *script) {
		s.says("c1 c2 c3")
		x := s.comes(0, "c1~1000000")
		s.sends("c4 c5 c6 c7")
		s.runs("-", "c1")
		s.settles(x, "open(c1~1000000) m1(c2) m2(c3) m3(c4) m4(c5) m5(c6) m6(c7)")
		s.runs("-")
		s.sends("c8 c9")
		s.settles(x, "m7(c8) m8(c9)")
		s.runs("-")
	})
}

// Rule 9: a client that skips events by its ordinal is ahead of its catch-up's log. Main may hold the newest event of
// that log, and neither the client's own nor the cursor from which it counts: the catch-up goes on until main has what
// the client needs, for otherwise the client would open the next one at the same cursor, over and over.
func TestRule9ACatchUpGoesOnForAClientThatIsAheadOfIt(t *testing.T) {
	inScript(t, func(s *schedule) { s.log.Events = 2 }, func(s *script) {
		main := s.comes(0, "")
		s.sends("c1 -")
		s.hears(main, "open(~e1-0) m0(c1) m1(c1~1)")
		s.sends("- -")
		s.hears(main, "m2(c1~2) m3(c1~3)") // c1 has left main's log
		s.says("- - - c2")
		x := s.comes(0, "c1~5") // ahead of main, from another bridge
		rpc := s.rpc("c1")
		s.delivers("c1", 3) // all of which main holds
		x.read(1000)
		if s.runs("-", "c1"); s.rpc("c1") != rpc {
			s.t.Fatal("another RPC was opened at c1")
		}
		s.delivers("-", 2)
		s.hears(main, "m4(c1~4) m5(c1~5)")
		s.delivers("c1", 2) // c1~5, which main holds, too
		s.settles(x, "open(c1~5) m6(c1~6) m7(c2)")
		s.runs("-")
	})
}
