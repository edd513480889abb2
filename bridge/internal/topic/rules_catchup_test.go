package topic_test

import "testing"

// Rule 17: a client that has missed more of a log than it is to be sent begins again; one that has missed as much is sent it all.
func TestRule17TooFarBackInALog(t *testing.T) {
	for name, route := range map[string]func(s *schedule){"live": func(*schedule) {}, "held": func(s *schedule) { s.held = true }} {
		t.Run(name, func(t *testing.T) {
			inScript(t, func(s *schedule) { s.most = 3; route(s) }, func(s *script) {
				stays := s.comes(0, "")
				s.sends("c1 c2 c3 c4 c5")
				s.hears(stays, "open(~e1-0) m0(c1) m1(c2) m2(c3) m3(c4) m4(c5)")
				s.hears(s.comes(0, "c2"), "open(c2) m2(c3) m3(c4) m4(c5)")
				far := s.comes(0, "c1")
				want := "gap:expired(c5)"
				if s.held {
					want = "gap:expired(~e1-0) m0(c1) m1(c2) m2(c3) m3(c4) m4(c5)"
				}
				s.hears(far, want)
				s.runs("-")
				s.sends("c6")
				s.hears(far, "m5(c6)")
				far.cut()
				s.returns(far, 0) // the gap has brought it here
				s.hears(far, "open(c6)")
			})
		})
	}
}

// Rule 17: the same by an RPC that is opened at its cursor.
func TestRule17TooFarBackForACatchUp(t *testing.T) {
	inScript(t, func(s *schedule) { s.most = 3 }, func(s *script) {
		s.says("c1 c2 c3 c4 c5 c6")
		near, far := s.comes(0, "c3"), s.comes(0, "c2")
		s.runs("-", "c2", "c3")
		s.flows()
		s.hears(near, "open(c3) m3(c4) m4(c5) m5(c6)")
		s.hears(far, "open(c2) m2(c3) m3(c4) m4(c5) gap:expired(~e3-4)")
		s.pause()
		s.sends("c7")
		s.settles(near, "m6(c7)")
		far.next = 6
		s.settles(far, "m6(c7)")
		s.sends("c8")
		s.settles(far, "m7(c8)")
		s.runs("-") // both have met main
	})
}

// Rule 17: with RPCs of their own, clients begin again with their snapshot.
func TestRule17TooFarBackWithAnRPCOfItsOwn(t *testing.T) {
	inScript(t, func(s *schedule) { s.most, s.own, s.history = 3, true, true }, func(s *script) {
		stays := s.comes(0, "")
		s.sends("c1 c2 c3 c4 c5")
		s.hears(stays, "open(~0) m0(c1) m1(c2) m2(c3) m3(c4) m4(c5)")
		far := s.comes(0, "c1")
		s.flows()
		s.settles(far, "gap:expired(~0) m0(c1) m1(c2) m2(c3) m3(c4) m4(c5)")
	})
}
