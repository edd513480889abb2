package delivery

import (
	"bytes"
	"compress/gzip"
	"io"
	"slices"
	"testing"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// partedChain is a chain whose client is parted when the test says so.
type partedChain struct {
	*watchedChain
	parted bool
}

// Parted returns what the test has set.
func (r *partedChain) Parted() bool { return r.parted }

// Move moves to the next log.
func (r *partedChain) Move() (position uint64, moved bool, err error) {
	r.parted = false
	return r.watchedChain.Move()
}

// A client parted during a write moves after that write. A client parted just before a write moves first,
// since its log need not retain the next frames for it.
func TestAPartedClientMovesBeforeItIsSentMore(t *testing.T) {
	r := &partedChain{watchedChain: &watchedChain{scriptedChain: newScriptedChain(), watches: []bool{true, true}}}
	put(r.log, "a")
	put(r.addLog(1), "b")
	client := &Client{Source: r, Blocks: blocks{source: r.source}, Follower: r}
	session := newSession(client, newEncoder(false, false), 0)
	step := func(want string) {
		t.Helper()
		blocks, end := session.step(0)
		if got := string(slices.Concat(blocks...)); got != want || end != "" {
			t.Fatalf("got %q %q, want %q", got, end, want)
		}
		session.written(0)
	}
	session.firstSent = true
	blocks, _ := session.step(0)
	r.parted = true // during the write of a
	put(r.log, "c")
	session.written(0)
	if got := string(slices.Concat(blocks...)); got != "a\n\n" || !slices.Equal(r.progress, []uint64{1}) {
		t.Fatalf("got %q, progress %v", got, r.progress)
	}
	step("b\n\n")
	step("")
}

// sendingChain is a chain whose client is parted when it is about to be sent a position.
type sendingChain struct {
	*partedChain
	at uint64
}

// Sending parts the client.
func (r *sendingChain) Sending(position uint64) {
	if position == r.at {
		r.parted, r.at = true, 0
	}
}

// The encoder has read frames for a client that is parted before they are sent.
func TestTheGzipChecksumOmitsUnsentFrames(t *testing.T) {
	r := &sendingChain{&partedChain{watchedChain: &watchedChain{scriptedChain: newScriptedChain(), watches: []bool{true, true}}}, 1}
	put(r.log, "a")
	next := r.addLog(1)
	put(next, "b")
	next.Close()
	client := &Client{Source: r, Blocks: blocks{source: r.source}, Follower: r, Gzip: true, First: []byte("first\n\n")}
	session := newSession(client, newEncoder(true, false), 0)
	var stream []byte
	for end := reason.End(""); end == ""; {
		var blocks [][]byte
		blocks, end = session.step(0)
		stream = append(stream, slices.Concat(blocks...)...)
		session.written(0)
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
