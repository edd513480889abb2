package topic_test

import (
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

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

// Rule 13: an RPC that has delivered nothing is opened again without a gap, also after one.
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
		if moved, err := x.sub.Move(); moved || err != nil {
			s.t.Fatalf("its client is moved on: %v %v", moved, err)
		}
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

// The code that says that a cursor is too old says so before the first message only, be that one the log has already.
func TestExpiredBeforeTheFirstMessageOnly(t *testing.T) {
	inScript(t, func(s *schedule) { s.fails = true }, func(s *script) {
		c := s.comes(0, "")
		s.sends("c1 -")
		s.breaks("-", errLost)
		s.pause()
		s.delivers("c1", 1) // m1, which the log has and which carries no cursor
		s.sends("c2")
		s.breaks("c1", errGone)
		s.hears(c, "open(~e1-0) m0(c1) m1(c1~1) m2(c2) end:the cursor is too old(c2~end)")
	})
}

// A catch-up that finds the family's main log without an RPC sees to it that it gets one, or they could never meet.
func TestACatchUpReopensMain(t *testing.T) {
	inScript(t, func(s *schedule) { s.log.Events = 2 }, func(s *script) {
		main := s.comes(0, "")
		s.sends("c1 c2 c3 c4")
		main.cut()
		s.breaks("-", errRetry) // no client is there to come back
		s.pause()
		s.runs()
		x := s.comes(0, "c1")
		s.pause()
		s.runs("c1", "c4")
		s.settles(x, "open(c1) m1(c2) m2(c3) m3(c4)")
		s.runs("c4")
	})
}

// A catch-up that has merged before its RPC had a place does not wait for one, and neither do its clients.
func TestMergedIsPlaced(t *testing.T) {
	inScript(t, func(s *schedule) { s.history = true }, func(s *script) {
		s.says("c1 c2 c3")
		x := s.comes(0, "c1")
		s.breaks("c1", errLost) // and it waits to be opened again
		if status := x.sub.Topic.Status(); status.Phase != topic.Opening {
			s.t.Fatalf("the status is %+v", status)
		}
		s.delivers("-", 1)
		if status := x.sub.Topic.Status(); status.Phase == topic.Opening || !status.Placed || status.Stale {
			s.t.Fatalf("the status is %+v", status)
		}
		s.settles(x, "open(c1) m1(c2) m2(c3)")
		s.runs("-")
	})
}

// Rule 15: a client of a catch-up without a gap has a cursor, and can do without it.
func TestRule15ACatchUpOfCursorsDoesNotLinger(t *testing.T) {
	inScript(t, func(*schedule) {}, func(s *script) {
		s.says("c1")
		x := s.comes(0, "c1")
		s.runs("-", "c1")
		x.cut()
		s.runs("-")
		time.Sleep(2 * linger)
		s.runs()
	})
}

// Rule 15: a client that has moved was sent its stream-open elsewhere, and can come back all the same.
func TestRule15AMovedClientCanComeBack(t *testing.T) {
	inScript(t, func(*schedule) {}, func(s *script) {
		fresh, err := s.bridges[0].Join(topic.Join{
			Key: "k", Resumable: true, Ordered: true,
			Open: func(after []byte, catchUp bool) (string, topic.Params) { return s.open(s.bridges[0], after, catchUp) },
		})
		if err != nil {
			s.t.Fatal(err)
		}
		s.says("c1")
		x := s.comes(0, "c1")
		s.says("c2")
		s.settles(x, "open(c1) m1(c2)")
		s.runs("-")
		fresh.Leave() // and was told nothing
		x.cut()
		s.sends("c3")
		s.runs("-")
		s.returns(x, 0)
		s.runs("-")
		s.hears(x, "open(c2) m2(c3)")
	})
}

// Rule 15: a log that lingers after it has merged keeps no RPC.
func TestRule15AMergedLogKeepsNoMain(t *testing.T) {
	inScript(t, func(s *schedule) { s.own, s.history = true, true }, func(s *script) {
		s.says("- c1")
		main := s.comes(0, "")
		s.flows()
		c := s.comes(0, "")
		s.flows()
		s.runs("-")
		main.cut()
		c.cut() // while it reads the log that has merged
		time.Sleep(linger + time.Second)
		s.runs()
	})
}
