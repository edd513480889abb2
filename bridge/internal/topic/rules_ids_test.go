package topic_test

import (
	"testing"
)

// Rule 1: where the cursor's own messages are sent again, all of them are dropped, and just they.
func TestRule1TheCursorsOwnMessagesComeAgain(t *testing.T) {
	inScript(t, func(s *schedule) { s.rules.Inclusive, s.rules.Repeats = true, true }, func(s *script) {
		c := s.comes(0, "")
		s.sends("c1 c1 c1 c2 c2")
		s.hears(c, "open(~e1-0) m0(~e1-1) m1(~e1-2) m2(~e1-3) m3(c1~1) m4(c1~2)")
		s.breaks("-", errLost)
		s.says("c2 c3")
		s.pause()
		s.runs("c1")
		s.flows()
		s.hears(c, "m5(c1~3) m6(c2~1)")

		for id, want := range map[string]string{
			"c1":   "open(c1) m3(c1~1) m4(c1~2) m5(c1~3) m6(c2~1)",
			"c1~1": "open(c1~1) m4(c1~2) m5(c1~3) m6(c2~1)",
			"c1~3": "open(c1~3) m6(c2~1)",
		} {
			again := s.comes(1, id) // where it has never been seen
			s.flows()
			s.hears(again, want)
		}
	})
}

// Rule 1: a backend that does not begin with the cursor's own message has not gone on from there.
func TestRule1TheCursorsOwnMessageIsMissing(t *testing.T) {
	inScript(t, func(s *schedule) { s.rules.Inclusive = true }, func(s *script) {
		c := s.comes(0, "")
		s.sends("c1 - -")
		s.hears(c, "open(~e1-0) m0(c1) m1(c1~1) m2(c1~2)")
		s.breaks("-", errLost)
		s.pause()
		s.runs("c1")
		s.messages[0].cursor = "" // it is not what comes first
		s.feeds[s.epochs[0]].refused = true
		s.says("c2")
		c.next = 0
		s.flows()
		s.hears(c, "gap:expired(~e1-4) m0(~e1-5) m1(~e1-6) m2(~e1-7) m3(c2)")
	})
}

// Rule 1: cursors that are integers need not rise where the cursor's own message shows where the backend has gone on.
func TestRule1InclusiveCursorsNeedNotRise(t *testing.T) {
	inScript(t, func(s *schedule) { s.rules.Inclusive, s.rules.NotAfter = true, inOrder }, func(s *script) {
		c := s.comes(0, "")
		s.sends("c5 c4")
		s.breaks("-", errLost)
		s.pause()
		s.sends("c3")
		s.hears(c, "open(~e1-0) m0(c5) m1(c4) m2(c3)")
		s.runs("c4")
	})
}

// Rule 2: a client that begins after the newest message, or after the messages it has missed, has a cursor,
// and no position.
func TestRule2TheFirstBlockHasTheCursorBeforeIt(t *testing.T) {
	inScript(t, func(*schedule) {}, func(s *script) {
		s.comes(0, "")
		s.sends("c1")
		c := s.comes(0, "")
		s.hears(c, "open(c1)")
		c.cut()
		s.says("c2")
		s.returns(c, 1) // another bridge can do as well
		s.flows()
		s.hears(c, "open(c1) m1(c2)")
	})
	inScript(t, func(s *schedule) { s.resumable, s.log.Events = false, 2 }, func(s *script) {
		s.comes(0, "")
		s.sends("c1 c2 c3")
		s.hears(s.comes(0, "c9"), "gap:expired(c1) m1(c2) m2(c3)")
	})
}

// Rule 3: a message that cannot be shown is a gap in its own place, which ends neither the counting nor the merging.
func TestRule3ABadMessageJustCounts(t *testing.T) {
	inScript(t, func(*schedule) {}, func(s *script) {
		s.says("c1")
		main := s.comes(0, "")
		s.sends("c2 -")
		s.add(message{cursor: "c3", bad: true})
		s.add(message{bad: true})
		s.flows()
		s.hears(main, "open(~e1-0) m1(c2) m2(c2~1) bad3(c3) bad4(c3~1)")
		x := s.comes(0, "c1")
		s.delivers("c1", 1) // c2, which main holds before the bad ones
		s.runs("-")
		s.hears(x, "open(c1) m1(c2) m2(c2~1) bad3(c3) bad4(c3~1)")
	})
}

// Rule 7: of two tabs of one user, each with a topic of its own, neither finds the other's; each finds its own once that
// has no client.
func TestRule7TabsDoNotFindEachOther(t *testing.T) {
	inScript(t, func(s *schedule) { s.private = true }, func(s *script) {
		first := s.comes(0, "")
		s.sends("c1 c2")
		second := s.comes(0, "c1")
		s.runs("-", "c1")
		s.hears(first, "open(~e1-0) m0(c1) m1(c2)")
		first.cut()
		s.returns(first, 0)
		s.runs("-", "c1")
		s.sends("c3")
		s.hears(first, "open(c2) m2(c3)")
		s.hears(second, "open(c1) m1(c2) m2(c3)")
	})
}

// Rule 5: a gap after which an own RPC is opened again is where it begins, also where it had got further than its beginning.
func TestRule5AGapOfAnOwnRPCIsItsBeginning(t *testing.T) {
	inScript(t, func(s *schedule) { s.own, s.history = true, true }, func(s *script) {
		s.says("- -")
		c := s.comes(0, "")
		s.flows()
		s.hears(c, "open(~0) m0(~e1-1) m1(~e1-2)")
		s.breaks("-", errLost)
		s.pause()
		s.hears(c, "gap:upstream(~0)")
		c.cut()
		s.returns(c, 1)
		s.flows()
		c.next = 0 // the history again
		s.hears(c, "open(~0) m0(~e2-1) m1(~e2-2)")
	})
}
