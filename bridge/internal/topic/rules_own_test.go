package topic_test

import (
	"strconv"
	"testing"
)

// Rule 10: the first client's own RPC is main's, and does not push its snapshot out under it either.
func TestRule10MainWaitsForTheClientThatOpenedIt(t *testing.T) {
	inScript(t, ownInSmallLog, func(s *script) {
		s.says("- - - - - c5 c6")
		c := s.comes(0, "")
		if taken := s.delivers("-", 10); taken != 3 {
			s.t.Fatalf("%d messages were taken, want the 3 that the log holds", taken)
		}
		s.settles(c, "open(~0) m0(~e1-1) m1(~e1-2) m2(~e1-3) m3(~e1-4) m4(~e1-5) m5(c5) m6(c6)")
	})
}

// Rule 10: it is cut in its snapshot, and comes back to where it was.
func TestRule10MainWaitsForItsReturn(t *testing.T) {
	inScript(t, ownInSmallLog, func(s *script) {
		s.says("- - - - - c5 c6")
		c := s.comes(0, "")
		s.delivers("-", 10)
		c.read(1)
		c.cut()
		s.flows()
		s.returns(c, 0)
		s.settles(c, "open(~0) m0(~e1-1) open(~e1-1) m1(~e1-2) m2(~e1-3) m3(~e1-4) m4(~e1-5) m5(c5) m6(c6)")
	})
}

// Others than the client that opened it need main to go on: it waits until that client has got all, once.
func TestMainWaitsNoLongerThanForItsFirstClient(t *testing.T) {
	inScript(t, ownInSmallLog, func(s *script) {
		s.says("- - - - - c5 c6")
		slow := s.comes(0, "")
		s.delivers("-", 10)
		other := s.comes(0, "")
		s.settles(other, "open(~0) m0(~e2-1) m1(~e2-2) m2(~e2-3) m3(~e2-4) m4(~e2-5) m5(c5) m6(c6)")
		s.runs("-", "-") // main has not come so far, and its client is not pushed out
		s.settles(slow, "open(~0) m0(~e1-1) m1(~e1-2) m2(~e1-3) m3(~e1-4) m4(~e1-5) m5(c5) m6(c6)")
		s.runs("-")
		for _, cursor := range []string{"c7", "c8", "c9"} {
			s.sends(cursor)
			slow.read(1)
		}
		s.sends("c10 c11 c12 c13 c14")
		if n := slow.feed.newest(); n != 14 {
			s.t.Fatalf("main has come to m%d, and waits for a client that had got all", n)
		}
	})
}

// And it does not wait for one that has left.
func TestMainDoesNotWaitForClientsThatLeft(t *testing.T) {
	inScript(t, ownInSmallLog, func(s *script) {
		s.says("- - - - - c5 c6")
		gone := s.comes(0, "")
		s.delivers("-", 10)
		gone.cut()
		other := s.comes(0, "")
		s.settles(other, "open(~0) m0(~e2-1) m1(~e2-2) m2(~e2-3) m3(~e2-4) m4(~e2-5) m5(c5) m6(c6)")
		s.runs("-")
	})
}

func ownInSmallLog(s *schedule) { s.log.Events, s.own, s.history, s.cursorless = 3, true, true, true }

// newest is the number of the newest message that the log has.
func (f *feed) newest() int {
	frames := f.noted()
	return frames[len(frames)-1]
}

// Rule 5a: a snapshot is longer than the log. A client is cut in the middle, and what had been written to it and got lost has left
// the log: it begins again, and is not sent the rest.
func TestRule5aALostSnapshotBeginsAgain(t *testing.T) {
	for name, lost := range map[string]uint64{"the place has left the log": 1, "the place never was": 99} {
		t.Run(name, func(t *testing.T) {
			inScript(t, ownInSmallLog, func(s *script) {
				s.says("- - - - - c5 c6")
				c := s.comes(0, "")
				for range 3 {
					s.flows()
					c.read(1)
				}
				c.cut()
				c.lastID, c.next, c.heard = "~"+s.epochs[0]+"-"+strconv.FormatUint(lost, 10), 1, nil
				s.flows()
				s.returns(c, 0)
				want := "gap:expired(~0)"
				if lost > 3 {
					want = "gap:forgotten(~0)"
				}
				s.settles(c, want+" m0(~e2-1) m1(~e2-2) m2(~e2-3) m3(~e2-4) m4(~e2-5) m5(c5) m6(c6)")
			})
		})
	}
}

// Rule 5a: the same for a client's unshared RPC.
func TestRule5aAPrivateRPCBeginsAgain(t *testing.T) {
	inScript(t, func(s *schedule) { s.log.Events, s.private, s.history, s.cursorless = 3, true, true, true }, func(s *script) {
		s.says("- - - - - c5 c6")
		c := s.comes(0, "")
		for range 3 {
			s.flows()
			c.read(1)
		}
		c.cut()
		c.lastID, c.next, c.heard = "~"+s.epochs[0]+"-1", 1, nil
		s.flows()
		s.returns(c, 0)
		s.settles(c, "gap:expired(~e2-0) m0(~e2-1) m1(~e2-2) m2(~e2-3) m3(~e2-4) m4(~e2-5) m5(c5) m6(c6)")
	})
}
