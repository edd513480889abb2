package replay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ssebridge/ssebridge/bridge/internal/deflate"
)

// model is a slice of all frames with the rules of Log.
type model struct {
	params   Params
	frames   []string // dropped ones included
	ids      []string
	floor    int
	released int
	closed   bool
}

func (n *model) size() (bytes int) {
	for _, f := range n.frames[n.floor:] {
		bytes += len(f)
	}
	return bytes
}

func (n *model) evict() {
	for len(n.frames)-n.floor > 1 &&
		(len(n.frames)-n.floor > n.params.Events || int64(n.size()) > n.params.Bytes) &&
		(!n.params.Retain || n.floor < n.released) {
		n.floor++
	}
}

func (n *model) full() bool {
	size := 0
	for _, f := range n.frames[n.released:] {
		size += len(f)
	}
	return n.params.Retain && (len(n.frames)-n.released >= n.params.Events || int64(size) >= n.params.Bytes)
}

func (n *model) find(id string) (uint64, bool) {
	for i := len(n.ids); i > n.floor; i-- {
		if n.ids[i-1] == id {
			return uint64(i), true
		}
	}
	return uint64(n.floor), n.floor > 0 && n.ids[n.floor-1] == id
}

func (n *model) read(position, limit int) (text string, next int, err error) {
	switch {
	case position < n.floor:
		return "", position, ErrEvicted
	case position >= len(n.frames) && n.closed:
		return "", position, io.EOF
	case position >= len(n.frames):
		return "", position, nil
	}
	next = position + 1
	for size := len(n.frames[position]); next < len(n.frames); next++ {
		if size += len(n.frames[next]); size > limit {
			break
		}
	}
	return strings.Join(n.frames[position:next], ""), next, nil
}

func TestTheLogMatchesASliceModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		params := Params{
			Events: rapid.IntRange(1, 20).Draw(t, "events"),
			Bytes:  rapid.SampledFrom([]int64{1, 50, 3000, 1 << 20}).Draw(t, "bytes"),
			Retain: rapid.Bool().Draw(t, "retain"),
		}
		log, model := New(params), &model{params: params}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) { model.appendTo(t, log) },
			"release": func(t *rapid.T) {
				position := rapid.IntRange(0, len(model.frames)+2).Draw(t, "position")
				log.Release(uint64(position))
				if params.Retain {
					model.released = min(max(position, model.floor), len(model.frames))
				}
			},
			"close": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "close") == 0 {
					log.Close()
					model.closed = true
				}
			},
			"read":   func(t *rapid.T) { model.compareRead(t, log) },
			"chunks": func(t *rapid.T) { model.compareChunks(t, log) },
			"gzip":   func(t *rapid.T) { model.compareGzip(t, log) },
			"": func(t *rapid.T) {
				audit(t, log)
				floor, head := log.Bounds()
				model.evict()
				if floor != uint64(model.floor) || head != uint64(len(model.frames)) || log.Full() != model.full() {
					t.Fatalf("bounds %d, %d, full %t; want %d, %d, %t", floor, head, log.Full(), model.floor, len(model.frames), model.full())
				}
			},
		})
	})
}

func (n *model) appendTo(t *rapid.T, log *Log) {
	for range rapid.IntRange(1, 8).Draw(t, "frames") {
		frame := fmt.Sprintf("%d:%s\n", len(n.frames), strings.Repeat("x", rapid.SampledFrom([]int{0, 5, 60, 900, 5000}).Draw(t, "size")))
		id := rapid.SampledFrom([]string{"", "a", "b", "c", "d", "e"}).Draw(t, "id")
		log.Append([]byte(frame), id)
		if !n.closed {
			n.frames, n.ids = append(n.frames, frame), append(n.ids, id)
			n.evict()
		}
	}
}

func (n *model) compareRead(t *rapid.T, log *Log) {
	position := rapid.IntRange(max(0, n.floor-2), len(n.frames)+1).Draw(t, "position")
	limit := rapid.SampledFrom([]int{0, 1, 100, 2000, 1 << 20}).Draw(t, "limit")
	got, next, err := log.Read(uint64(position), limit, nil)
	text, wantNext, wantErr := n.read(position, limit)
	if string(bytes.Join(got, nil)) != text || next != uint64(wantNext) || !errors.Is(err, wantErr) {
		t.Fatalf("read %d bytes to %d, %v; want %d to %d, %v", len(slices.Concat(got...)), next, err, len(text), wantNext, wantErr)
	}
	if grown := isClosed(log.Grown(uint64(position))); grown != (position < len(n.frames) || n.closed) {
		t.Fatalf("grown is %t at %d of %d", grown, position, len(n.frames))
	}
	id := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(t, "id")
	at, ok := log.Find(id)
	if want, wantOK := n.find(id); ok != wantOK || ok && at != want {
		t.Fatalf("%s is at %d %t, want %d %t", id, at, ok, want, wantOK)
	}
}

// compareChunks compares Chunks with the frames after a random position.
func (n *model) compareChunks(t *rapid.T, log *Log) {
	position, limit := n.drawPlace(t)
	chunks, next, err := log.Chunks(uint64(position), limit)
	if n.compareRange(t, position, int(next), limit, len(chunks), err) {
		if got := string(unchunk(t, chunks)); got != n.text(position, int(next)) {
			t.Fatalf("chunks of %q from %d to %d", got, position, next)
		}
	}
}

// compareGzip compares both compressed reads, for a client that has received some of the frames
// before the position.
func (n *model) compareGzip(t *rapid.T, log *Log) {
	position, limit := n.drawPlace(t)
	unbroken := rapid.IntRange(max(0, position-2*chainLength), position).Draw(t, "unbroken")
	chunks, next, sum, err := log.GzipChunks(uint64(position), uint64(unbroken), limit)
	if n.compareRange(t, position, int(next), limit, len(chunks), err) {
		n.compareForms(t, unchunk(t, chunks), sum, unbroken, position, int(next))
	}
	slices, next, sum, err := log.ReadGzip(uint64(position), uint64(unbroken), limit, nil)
	blocks := bytes.Join(slices, nil)
	if n.compareRange(t, position, int(next), limit, len(blocks), err) {
		n.compareForms(t, blocks, sum, unbroken, position, int(next))
	}
}

func (n *model) compareForms(t *rapid.T, blocks []byte, sum deflate.Sum, unbroken, position, next int) {
	want := n.text(position, next)
	before := n.text(min(unbroken, len(n.frames)), min(position, len(n.frames)))
	if got := string(inflate(t, blocks, []byte(before))); got != want || sum != deflate.SumOf([]byte(want)) {
		t.Fatalf("%q from %d to %d, of a client that is unbroken since %d", got, position, next, unbroken)
	}
}

func (n *model) drawPlace(t *rapid.T) (position, limit int) {
	position = rapid.IntRange(max(0, n.floor-2), len(n.frames)+1).Draw(t, "position")
	return position, rapid.SampledFrom([]int{0, 1, 100, 2000, 1 << 20}).Draw(t, "limit")
}

// compareRange checks how far a read went, and reports whether it returned no error.
func (n *model) compareRange(t *rapid.T, position, next, limit, size int, err error) bool {
	_, _, wantErr := n.read(position, limit)
	available := wantErr == nil && position < len(n.frames)
	switch {
	case !errors.Is(err, wantErr), (next > position) != available, size > limit && next > position+1 && !n.onlyOne(position, next):
		t.Fatalf("read %d bytes from %d to %d, %v; want %v", size, position, next, err, wantErr)
	case next > position && next > len(n.frames):
		t.Fatalf("read to %d of %d", next, len(n.frames))
	}
	return err == nil
}

// onlyOne reports whether at most one of the frames has bytes.
func (n *model) onlyOne(position, next int) bool {
	full := 0
	for _, f := range n.frames[position:next] {
		if len(f) > 0 {
			full++
		}
	}
	return full <= 1
}

func (n *model) text(position, next int) string {
	if position >= next {
		return ""
	}
	return strings.Join(n.frames[position:next], "")
}
