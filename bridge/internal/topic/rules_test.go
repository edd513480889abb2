package topic_test

import (
	"testing"
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
