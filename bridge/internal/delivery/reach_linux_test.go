package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// This holds even if the log grows all the time, so that the rounds never end: a measured frame takes one
// serving of each member.
func TestAFrameHasReachedAllMembersAfterOneRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := replay.New(replay.Params{Events: 100, Bytes: 1 << 20})
		log.Append([]byte("old"), "")
		time.Sleep(time.Second)
		g := newGroup(&shard{}, log, NewCounts())
		defer g.unwatch()
		for range 16 {
			g.add(&member{})
		}
		serve := func() bool {
			g.beginRound()
			g.next()
			return g.reached()
		}
		g.measure()
		if serve() {
			t.Error("a frame from before the group is measured")
		}
		log.Append([]byte("one"), "")
		g.measure()
		came := g.measurement.reach.appendedAt
		for i := range 16 {
			log.Append([]byte("more"), "")
			time.Sleep(time.Second)
			g.measure()
			if got := serve(); got != (i == 15) {
				t.Errorf("member %d: reached all: %v", i, got)
			}
		}
		if took := log.Time(time.Now()) - came; took != 16*time.Second {
			t.Errorf("it took %v", took)
		}
		g.measure()
		for range 7 {
			serve()
		}
		for g.first != g.last && g.first.seq <= g.measurement.sinceSeq {
			g.remove(g.first)
		}
		if !g.reached() {
			t.Error("the measurement waits for members that have left")
		}
		g.measure()
		if serve() {
			t.Error("the same frame is measured twice")
		}
	})
}

// A private stream has one round for each write.
func TestSmallGroupsAreSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := replay.New(replay.Params{Events: 100, Bytes: 1 << 20})
		g := newGroup(&shard{}, log, NewCounts())
		defer g.unwatch()
		g.add(&member{})
		measured := 0
		for range 32 {
			time.Sleep(time.Second)
			log.Append([]byte("x"), "")
			g.beginRound()
			g.measure()
			g.next()
			if g.reached() {
				measured++
			}
		}
		if measured != 2 {
			t.Errorf("%d of 32 rounds were measured, want 2", measured)
		}
	})
}
