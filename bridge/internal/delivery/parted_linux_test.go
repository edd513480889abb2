package delivery

import (
	"slices"
	"testing"
)

// partedRoad is a road whose client is parted from its log at a moment of the test's.
type partedRoad struct {
	*watchedRoad
	parted bool
}

// Parted is as the test says.
func (r *partedRoad) Parted() bool { return r.parted }

// Move follows the road.
func (r *partedRoad) Move() (position uint64, moved bool, err error) {
	r.parted = false
	return r.watchedRoad.Move()
}

// A client that is parted while it is being written to moves behind what has been
// written, and one that is about to be written to moves first: its log need not hold
// for it what comes next.
func TestAPartedClientMovesBeforeItReadsOn(t *testing.T) {
	r := &partedRoad{watchedRoad: &watchedRoad{road: newRoad(), watches: []bool{true, true}}}
	put(r.log, "a")
	put(r.lead(1), "b")
	client := &Client{Source: r, Blocks: blocks{source: r.source}, Follower: r}
	session := newSession(client, newForm(false, false), 0)
	step := func(want string) {
		t.Helper()
		blocks, end := session.step(0)
		if got := string(slices.Concat(blocks...)); got != want || end != "" {
			t.Fatalf("got %q %q, want %q", got, end, want)
		}
		session.wrote(0)
	}
	session.begun = true
	blocks, _ := session.step(0)
	r.parted = true // while a is being written
	put(r.log, "c")
	session.wrote(0)
	if got := string(slices.Concat(blocks...)); got != "a\n\n" || !slices.Equal(r.progress, []uint64{1}) {
		t.Fatalf("got %q, progress %v", got, r.progress)
	}
	step("b\n\n")
	step("")
}
