package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// TestAFrameHasReachedAllOnceARoundIsDone, also while the log grows on: then the rounds never end, and each frame
// that is followed still takes one visit to each member.
func TestAFrameHasReachedAllOnceARoundIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := replay.New(replay.Params{Events: 100, Bytes: 1 << 20})
		log.Append([]byte("old"), "")
		time.Sleep(time.Second)
		g := newGroup(&shard{}, log, NewCounts())
		defer g.ignore()
		for range 16 {
			g.add(&member{})
		}
		visit := func() bool {
			g.begin()
			g.next()
			return g.reached()
		}
		g.measure()
		if visit() {
			t.Error("a frame from before the group is followed")
		}
		log.Append([]byte("one"), "")
		g.measure()
		came := g.measured.reach.came
		for i := range 16 {
			log.Append([]byte("more"), "")
			time.Sleep(time.Second)
			g.measure()
			if got := visit(); got != (i == 15) {
				t.Errorf("visit %d: reached all: %v", i, got)
			}
		}
		if took := log.Time(time.Now()) - came; took != 16*time.Second {
			t.Errorf("it took %v", took)
		}
		g.measure()
		for range 7 {
			visit()
		}
		for g.first != g.last && g.first.visit <= g.measured.since {
			g.remove(g.first)
		}
		if !g.reached() {
			t.Error("members that left before the frame reached them are waited for")
		}
		g.measure()
		if visit() {
			t.Error("the same frame is measured twice")
		}
	})
}

// TestRoundsOfFewAreSampled: a private stream has a round for each write.
func TestRoundsOfFewAreSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := replay.New(replay.Params{Events: 100, Bytes: 1 << 20})
		g := newGroup(&shard{}, log, NewCounts())
		defer g.ignore()
		g.add(&member{})
		followed := 0
		for range 32 {
			time.Sleep(time.Second)
			log.Append([]byte("x"), "")
			g.begin()
			g.measure()
			g.next()
			if g.reached() {
				followed++
			}
		}
		if followed != 2 {
			t.Errorf("%d of 32 rounds were followed, want 2", followed)
		}
	})
}
