package topic_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// passes lets time pass in which clients that are frozen take nothing, and others all.
func (s *script) passes(d time.Duration, fast ...*browser) {
	const tick = 25 * time.Millisecond
	for range d / tick {
		s.serveSlow()
		for range 6 {
			s.flows()
			for _, b := range fast {
				b.read(1000)
			}
		}
		time.Sleep(tick)
		synctest.Wait()
	}
}

// freezesOne brings two clients at c0, and freezes one of them for so long that it is parted
// from the other.
func (s *script) freezesOne() (frozen, fast *browser) {
	s.t.Helper()
	frozen, fast = s.comes(0, "c0"), s.comes(0, "c0")
	s.flows()
	frozen.freeze()
	s.passes(300*time.Millisecond, fast)
	return frozen, fast
}

// Rule 10: a client that takes nothing is parted from its catch-up when it has kept another one waiting for 250 ms. It
// gets an RPC of its own, at its own id, and all of its messages.
func TestRule10AFrozenClientIsParted(t *testing.T) {
	inScript(t, func(s *schedule) { s.log.Events = 3 }, func(s *script) {
		s.says("c0 c1 c2 c3 c4 c5 c6 c7 c8 c9")
		frozen, fast := s.comes(0, "c0"), s.comes(0, "c0")
		s.flows()
		frozen.freeze()
		s.passes(200*time.Millisecond, fast)
		s.hears(fast, "open(c0) m1(c1) m2(c2) m3(c3)")
		s.passes(100*time.Millisecond, fast)
		s.hears(fast, "m4(c4) m5(c5) m6(c6) m7(c7) m8(c8) m9(c9)")
		s.passes(time.Minute, fast)
		frozen.thaw()
		s.passes(25*time.Millisecond, frozen)
		s.hears(frozen, fromC0)
		s.sends("c10 c11")
		s.settles(frozen, "m10(c10) m11(c11)")
		s.settles(fast, "m10(c10) m11(c11)")
		s.runs("-")
	})
}

// Rule 10: what a client has got by its ordinal goes with it.
func TestRule10TheSkipGoesWithAPartedClient(t *testing.T) {
	inScript(t, func(s *schedule) { s.log.Events = 3 }, func(s *script) {
		s.says("c0 - - c1 - - c2 c3")
		frozen, fast := s.comes(0, "c0~2"), s.comes(0, "c0")
		s.flows()
		frozen.read(1) // passes m1 and m2
		frozen.freeze()
		s.passes(time.Second, fast)
		s.hears(fast, "open(c0) m1(c0~1) m2(c0~2) m3(c1) m4(c1~1) m5(c1~2) m6(c2) m7(c3)")
		frozen.thaw()
		s.passes(25*time.Millisecond, frozen)
		s.hears(frozen, "open(c0~2) m3(c1) m4(c1~1) m5(c1~2) m6(c2) m7(c3)")
	})
}

// Rule 10: a client comes back while the bridge takes its old connection for alive.
func TestRule10AClientDoesNotWaitForItsGhost(t *testing.T) {
	inScript(t, func(s *schedule) { s.log.Events = 3 }, func(s *script) {
		s.says("c0 c1 c2 c3 c4 c5 c6 c7 c8 c9")
		c := s.comes(0, "c0")
		s.delivers("c0", 3)
		c.read(1)
		c.haunt(20 * time.Second)
		s.returns(c, 0)
		s.passes(300*time.Millisecond, c)
		s.hears(c, "open(c0) m1(c1) open(c1) m2(c2) m3(c3) m4(c4) m5(c5) m6(c6) m7(c7) m8(c8) m9(c9)")
		s.passes(time.Minute, c)
		s.sends("c10")
		s.settles(c, "m10(c10)")
		s.runs("-")
	})
}

// Rule 10: a client that is alone in its catch-up has it stop as long as it likes.
func TestRule10AClientByItselfIsWaitedFor(t *testing.T) {
	inScript(t, func(s *schedule) { s.log.Events = 3 }, func(s *script) {
		s.says("c0 c1 c2 c3 c4 c5 c6 c7 c8 c9")
		c := s.comes(0, "c0")
		s.flows()
		c.freeze()
		s.passes(time.Minute)
		s.runs("-", "c0")
		c.thaw()
		s.settles(c, fromC0)
	})
}

// Rule 10: clients that the bridge has not come round to, on a machine that is busy, are not slow.
func TestRule10AClientThatIsNotServedIsNotSlow(t *testing.T) {
	inScript(t, func(s *schedule) { s.log.Events = 3 }, func(s *script) {
		s.says("c0 c1 c2 c3 c4 c5")
		unserved, fast := s.comes(0, "c0"), s.comes(0, "c0")
		s.passes(time.Second, fast)
		s.runs("-", "c0")
		s.hears(fast, "open(c0) m1(c1) m2(c2) m3(c3)")
		s.hears(unserved, "open(c0) m1(c1) m2(c2) m3(c3)")
		s.passes(25*time.Millisecond, fast, unserved)
		s.hears(fast, "m4(c4) m5(c5)")
		s.hears(unserved, "m4(c4) m5(c5)")
	})
}

// Rule 10: the log of a slow client takes no new clients, which would wait for it
// again.
func TestRule10ASlowClientsLogIsItsOwn(t *testing.T) {
	inScript(t, func(s *schedule) { s.log.Events = 3 }, func(s *script) {
		s.says("c0 c1 c2 c3 c4 c5 c6 c7 c8 c9")
		frozen, fast := s.freezesOne()
		s.hears(fast, fromC0)
		frozen.thaw()
		frozen.read(2) // it is placed again, after c1
		frozen.freeze()
		s.flows()
		other := s.comes(0, "c1")
		s.passes(25*time.Millisecond, other)
		s.hears(other, fromC1)
	})
}

// Rule 10: the client that opened main with an RPC of its own is frozen in a snapshot that no other log has. Main is
// left to it; the others get another main, and no client hears a gap.
func TestRule10MainIsLeftToAFrozenSnapshot(t *testing.T) {
	inScript(t, ownInSmallLog, func(s *script) {
		s.says("- - - - - c5 c6")
		frozen := s.comes(0, "")
		s.flows()
		frozen.freeze()
		frozen.thaw() // it has m0, and what is written next does not arrive
		frozen.freeze()
		other := s.comes(0, "")
		s.passes(time.Second, other)
		s.hears(other, "open(~0) m0(~e2-1) m1(~e2-2) m2(~e2-3) m3(~e2-4) m4(~e2-5) m5(c5) m6(c6)")
		s.runs("-", "-") // the frozen client's, and the new main's, in which the other is
		s.sends("c7")
		s.settles(other, "m7(c7)")
		frozen.thaw()
		s.passes(25*time.Millisecond, frozen)
		s.sends("c8")
		s.settles(frozen, "open(~0) m0(~e1-1) m1(~e1-2) m2(~e1-3) m3(~e1-4) m4(~e1-5) m5(c5) m6(c6) m7(c7) m8(c8)")
		s.settles(other, "m8(c8)")
		s.runs("-")
	})
}

// Rule 10: of two connections that a private stream's client has, the newer one may be the dead one.
func TestRule10TheNewestConnectionMayBeTheDeadOne(t *testing.T) {
	inScript(t, func(s *schedule) { s.private, s.log.Events = true, 3 }, func(s *script) {
		c := s.comes(0, "")
		s.sends("c1")
		s.hears(c, "open(~e1-0) m0(c1)")
		twin := s.comes(0, "~e1-0")
		twin.freeze()
		s.says("c2 c3 c4 c5 c6 c7")
		s.passes(300*time.Millisecond, c)
		s.hears(c, "m1(c2) m2(c3) m3(c4) m4(c5) m5(c6) m6(c7)")
	})
}
