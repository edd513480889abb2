package topic_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// Rule 9: a main log that gets its RPC back is looked at, for it may hold what catch-ups have come to meanwhile.
func TestRule9AReopenedMainIsLookedAt(t *testing.T) {
	inScript(t, func(*schedule) {}, func(s *script) {
		s.says("c1")
		main := s.comes(0, "")
		s.sends("c2 c3")
		x := s.comes(0, "c1")
		s.breaks("-", errLost)
		s.delivers("c1", 1) // c2, which main holds
		s.runs("c1")
		s.pause()
		s.runs("c3") // main's, and no message has come since
		s.hears(x, "open(c1) m1(c2) m2(c3)")
		s.hears(main, "open(~e1-0) m1(c2) m2(c3)")
	})
}

// Rule 9: a catch-up is as good a log to go on in, and one that gets its RPC back is looked at by those, too, that wait
// for one.
func TestRule9AReopenedCatchUpIsLookedAt(t *testing.T) {
	inScript(t, func(*schedule) {}, func(s *script) {
		s.says("c1 c2 c3")
		s.forgets(3)
		x := s.comes(0, "c1") // is told that it is too old
		s.says("c4 c5")
		rpc := s.of(0)
		for range 2 {
			rpc.deliver()
			synctest.Wait()
		}
		x.read(1)
		s.heard(x, "open(c1) gap:expired(~e1-1)")
		rpc.fail(errRetry)
		synctest.Wait()
		x.cut()
		time.Sleep(time.Second)
		s.down = []error{errLost}
		y := s.comes(0, "c4") // has no RPC yet, and the log that holds c4 has none
		opened := s.opened
		s.returns(x, 0) // by its position, and opens the RPC again
		s.pause()
		if s.opened != opened+1 {
			s.t.Errorf("%d RPCs were opened, for one log to go on in", s.opened-opened)
		}
		s.hears(y, "open(c4) m4(c5)")
		s.hears(x, "open(~e1-1) m3(c4) m4(c5)")
	})
}

// Rule 9: a gap in a catch-up is where it stands: it does not meet a log at the id before.
func TestRule9ACatchUpStandsAtItsGap(t *testing.T) {
	inScript(t, func(*schedule) {}, func(s *script) {
		s.says("c1")
		x := s.comes(0, "c1")
		s.says("c2 c3 c4")
		s.delivers("c1", 1) // c2, which main has not got yet
		s.breaks("c1", errLost)
		s.forgets(4)
		s.pause() // c2 is too old by now
		s.hears(x, "open(c1) m1(c2) gap:expired(~e1-2)")
		s.of(1).deliver() // c2, to main
		s.runs("-", "-")
		s.sends("c5")
		s.runs("-")
		s.settles(x, "m4(c5)")
	})
}

// Rule 9: a catch-up that waits for main goes on when main has moved to where the catch-up does not know it.
func TestRule9WaitsNoLongerThanItIsAhead(t *testing.T) {
	inScript(t, func(*schedule) {}, func(s *script) {
		s.says("c1")
		x := s.comes(0, "c1")
		s.says("c2 c3 c4 c5 k")
		s.delivers("c1", 2)
		main := s.of(1)
		main.deliver() // c2
		synctest.Wait()
		s.delivers("c1", 1) // c4, for which it waited already
		if s.delivers("c1", 1) != 0 {
			s.t.Fatal("the catch-up is ahead, and goes on")
		}
		main.at = 5
		main.deliver()                     // k
		time.Sleep(250 * time.Millisecond) // main's frames are not looked at one by one
		synctest.Wait()
		if s.delivers("c1", 1) != 1 {
			s.t.Error("the catch-up waits for a message that main need not get")
		}
		s.hears(x, "open(c1) m1(c2) m2(c3) m3(c4) m4(c5)")
	})
}

// Rule 9: a catch-up that has not even an RPC need not get one when main comes to where it begins.
func TestRule9MainComesToWhereACatchUpWaits(t *testing.T) {
	inScript(t, func(*schedule) {}, func(s *script) {
		main := s.comes(0, "")
		s.says("c1 c2")
		s.down = []error{errLost}
		x := s.comes(0, "c1")
		opened := s.opened
		s.delivers("-", 2)
		s.pause()
		if s.opened != opened {
			s.t.Error("an RPC was opened for what main holds")
		}
		s.hears(x, "open(c1) m1(c2)")
		s.hears(main, "open(~e1-0) m0(c1) m1(c2)")
	})
}

// Rule 9: what main gets while a catch-up is being made is seen when that has its RPC, be there another message or not.
func TestRule9MainGrowsWhileACatchUpIsMade(t *testing.T) {
	inScript(t, func(*schedule) {}, func(s *script) {
		s.comes(0, "")
		s.says("c1")
		sub, err := s.bridges[0].Join(topic.Join{
			Key: "k", Resumable: true, Ordered: true, Place: s.place("c1"), Parse: s.place,
			Open: func(after []byte, catchUp bool) (string, topic.Params) {
				s.delivers("-", 1)
				return s.open(s.bridges[0], after, catchUp)
			},
		})
		if err != nil {
			s.t.Fatal(err)
		}
		defer sub.Leave()
		s.pause()
		s.runs("-")
		if moved, err := sub.Move(); !moved || err != nil || sub.Topic.Epoch() != s.epochs[0] {
			s.t.Errorf("it is not moved to main: %v %v", moved, err)
		}
	})
}

// Rule 9: main stays for the catch-ups that are to meet it, be its own clients gone; and no longer.
func TestRule9MainStaysForItsCatchUps(t *testing.T) {
	inScript(t, func(*schedule) {}, func(s *script) {
		main := s.comes(0, "")
		s.says("c1")
		x := s.comes(0, "c1")
		main.cut()
		time.Sleep(time.Minute)
		s.runs("-", "c1")
		s.says("c2")
		s.settles(x, "open(c1) m1(c2)")
		s.runs("-")
		x.cut()
		time.Sleep(time.Minute)
		s.runs()
	})
}

// Rule 9: a catch-up that is ahead of main goes on when main loses its RPC.
func TestRule9AheadOfABrokenMain(t *testing.T) {
	inScript(t, func(*schedule) {}, func(s *script) {
		s.says("c1")
		x := s.comes(0, "c1")
		s.says("c2 c3 c4 c5")
		s.delivers("c1", 2)
		s.of(1).deliver() // c2, to main
		synctest.Wait()
		s.delivers("c1", 1) // c4, for which it waited already
		if s.delivers("c1", 1) != 0 {
			s.t.Fatal("the catch-up is ahead, and goes on")
		}
		s.breaks("-", errLost)
		if s.delivers("c1", 1) != 1 {
			s.t.Error("the catch-up waits for a log without an RPC")
		}
		s.hears(x, "open(c1) m1(c2) m2(c3) m3(c4) m4(c5)")
	})
}

// Rule 9: the gap that main tells as a client joins may push out the cursor by which it was found; then the cursor is as
// good elsewhere.
func TestRule9PushedOutAsItJoins(t *testing.T) {
	inScript(t, func(s *schedule) { s.log.Events = 2 }, func(s *script) {
		main := s.comes(0, "")
		s.sends("c1")
		s.hears(main, "open(~e1-0) m0(c1)")
		s.breaks("-", errLost)
		s.forgets(2)
		s.pause()
		s.sends("-")
		s.hears(main, "gap:expired(~e1-2) m1(~e1-3)")
		s.breaks("-", errRetry)
		main.cut()
		s.forgets(0)
		x := s.comes(0, "c1")
		s.pause()
		s.runs("-", "c1")
		s.flows()
		s.hears(x, "open(c1) m1(c1~1)")
	})
}

// Rule 10: a client that comes back finds what it had been written and has not got, be that older than the log's age.
func TestRule10NothingGoesWhileAClientIsPlaced(t *testing.T) {
	inScript(t, func(s *schedule) { s.private, s.log.Age = true, 3*time.Second }, func(s *script) {
		c := s.comes(0, "")
		s.sends("- - -")
		s.hears(c, "open(~e1-0) m0(~e1-1) m1(~e1-2) m2(~e1-3)")
		c.cut()
		time.Sleep(4 * time.Second)
		again := s.comes(0, "~e1-1") // as far as it had arrived
		s.hears(again, "open(~e1-1) m1(~e1-2) m2(~e1-3)")
		s.runs("-")
	})
}

// Rule 14: the end of a catch-up is for its clients; a cursor opens an RPC, which knows better.
func TestRule14AFinishedCatchUpIsNotFoundAgain(t *testing.T) {
	inScript(t, func(s *schedule) { s.ends = true }, func(s *script) {
		s.says("c1")
		x := s.comes(0, "c1")
		s.says("c2")
		s.delivers("c1", 1)
		s.hears(x, "open(c1) m1(c2)")
		s.breaks("c1", ok)
		x.cut()
		s.says("c3")
		s.returns(x, 0)
		s.runs("-", "c2")
		s.settles(x, "open(c2) m2(c3)")
	})
}

// Rule 14: a client that begins again after the end has the family's main log, also where each client begins with an RPC
// of its own.
func TestRule14AnOwnRPCAfterTheEndIsMain(t *testing.T) {
	inScript(t, func(s *schedule) { s.own, s.history, s.ends = true, true, true }, func(s *script) {
		first := s.comes(0, "")
		s.sends("- c1")
		s.breaks("-", ok)
		first.cut()
		c := s.comes(0, "")
		s.flows()
		s.hears(c, "open(~0) m0(~e2-1) m1(c1)")
		c.cut()
		s.returns(c, 0)
		s.sends("c2")
		s.hears(c, "open(c1) m2(c2)")
		s.runs("-")
	})
}

// Rule 14: the tail of a client's own stream is its own, also by cursor.
func TestRule14APrivateTailIsFound(t *testing.T) {
	inScript(t, func(s *schedule) { s.private, s.ends = true, true }, func(s *script) {
		c := s.comes(0, "")
		s.sends("c1 c2")
		s.hears(c, "open(~e1-0) m0(c1) m1(c2)")
		s.breaks("-", ok)
		c.cut()
		s.returns(c, 0)
		s.runs()
		s.hears(c, "open(c2) end:<nil>(c2~end)")
	})
}
