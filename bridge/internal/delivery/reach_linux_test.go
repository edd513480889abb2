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
		g.begin()
		if g.visited() {
			t.Error("a frame from before the group is followed")
		}
		log.Append([]byte("one"), "")
		g.begin()
		came := g.reach.came
		for visit := range 16 {
			log.Append([]byte("more"), "")
			time.Sleep(time.Second)
			g.begin()
			if got := g.visited(); got != (visit == 15) {
				t.Errorf("visit %d: reached all: %v", visit, got)
			}
		}
		if took := log.Time(time.Now()) - came; took != 16*time.Second {
			t.Errorf("it took %v", took)
		}
		g.begin()
		for range 15 {
			g.remove(g.members[0])
		}
		if g.visited(); !g.visited() { // it cannot know who of the two was visited before
			t.Error("who has left is waited for")
		}
		g.begin()
		if g.visited() {
			t.Error("the same frame is followed twice")
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
			if g.visited() {
				followed++
			}
		}
		if followed != 2 {
			t.Errorf("%d of 32 rounds were followed, want 2", followed)
		}
	})
}
