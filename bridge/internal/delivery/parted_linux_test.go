package delivery

import (
	"bytes"
	"compress/gzip"
	"io"
	"slices"
	"testing"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
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

// sendingRoad is a road whose client is parted when it is about to be sent a position.
type sendingRoad struct {
	*partedRoad
	at uint64
}

// Sending parts the client.
func (r *sendingRoad) Sending(position uint64) {
	if position == r.at {
		r.parted, r.at = true, 0
	}
}

// The checksum at the end of a gzip stream leaves out what was read for a client that
// was parted before it was sent it.
func TestAPartedClientHasTheChecksumOfWhatItWasSent(t *testing.T) {
	r := &sendingRoad{&partedRoad{watchedRoad: &watchedRoad{road: newRoad(), watches: []bool{true, true}}}, 1}
	put(r.log, "a")
	next := r.lead(1)
	put(next, "b")
	next.Close()
	client := &Client{Source: r, Blocks: blocks{source: r.source}, Follower: r, Gzip: true, First: []byte("first\n\n")}
	session := newSession(client, newForm(true, false), 0)
	var stream []byte
	for end := reason.End(""); end == ""; {
		var blocks [][]byte
		blocks, end = session.step(0)
		stream = append(stream, slices.Concat(blocks...)...)
		session.wrote(0)
	}
	unzip, err := gzip.NewReader(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(unzip)
	if string(text) != "first\n\nb\n\n" || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
}
