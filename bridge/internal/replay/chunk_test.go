package replay

import (
	"bytes"
	"errors"
	"io"
	"net/http/httputil"
	"testing"

	"pgregory.net/rapid"
)

func TestChunkSizes(t *testing.T) {
	sizes := []int{1<<20 - 1, 1 << 20, 1<<24 - 1, 1 << 24, 1<<28 - 1, 1 << 28, 1<<31 - 1}
	for size := range 70_000 {
		sizes = append(sizes, size)
	}
	for _, size := range sizes {
		start, got := contentOf(chunkSize(size))
		if got != size || size > 0 && start+size+len(crlf) != chunkSize(size) {
			t.Fatalf("content of %d bytes is taken for %d at offset %d", size, got, start)
		}
	}
	for _, size := range []int{0, 1, 15, 16, 255, 256, 4095, 4096, 65535, 65536} {
		content := bytes.Repeat([]byte("x"), size)
		chunk := appendChunk(nil, content)
		start, _ := contentOf(len(chunk))
		if len(chunk) != chunkSize(size) || !bytes.Equal(chunk[start:start+size], content) {
			t.Fatalf("a chunk of %d bytes: %q", size, chunk)
		}
	}
}

// unchunk decodes whole chunks as an HTTP client would.
func unchunk(t rapid.TB, chunks []byte) []byte {
	t.Helper()
	ended := append(bytes.Clone(chunks), "0\r\n\r\n"...)
	content, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(ended)))
	if err != nil {
		t.Fatalf("%q: %v", chunks, err)
	}
	return content
}

func TestChunks(t *testing.T) {
	l := fill(New(Params{Events: 4, Bytes: 1 << 20}), "gone", "a", "", "bbbbbbbbbbbbbbbbbbbb", "c")
	for limit, want := range map[int]string{
		0:  "1\r\na\r\n",
		30: "1\r\na\r\n",
		31: "1\r\na\r\n",
		32: "1\r\na\r\n14\r\nbbbbbbbbbbbbbbbbbbbb\r\n",
		37: "1\r\na\r\n14\r\nbbbbbbbbbbbbbbbbbbbb\r\n",
		38: "1\r\na\r\n14\r\nbbbbbbbbbbbbbbbbbbbb\r\n1\r\nc\r\n",
		99: "1\r\na\r\n14\r\nbbbbbbbbbbbbbbbbbbbb\r\n1\r\nc\r\n",
	} {
		got, next, err := l.Chunks(1, limit)
		position := map[int]uint64{6: 3, 32: 4, 38: 5}[len(got)] // the empty frame has no chunk
		if string(got) != want || next != position || err != nil || cap(got) != len(got) {
			t.Errorf("limit %d: %q to %d, %v", limit, got, next, err)
		}
	}
	for position, want := range map[uint64]error{0: ErrEvicted, 5: nil, 6: nil} {
		if got, next, err := l.Chunks(position, 99); got != nil || next != position || !errors.Is(err, want) {
			t.Errorf("at %d: %q to %d, %v", position, got, next, err)
		}
	}
	l.Close()
	if got, next, err := l.Chunks(5, 99); got != nil || next != 5 || !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %q to %d, %v", got, next, err)
	}
	l = fill(New(roomy), "", "")
	if got, next, err := l.Chunks(0, 99); got != nil || next != 2 || err != nil {
		t.Errorf("empty frames: %q to %d, %v", got, next, err)
	}
}

// Chunks returns bytes of one segment. A large frame has a segment of its own.
func TestChunksStayInASegment(t *testing.T) {
	l := New(Params{Events: 1000, Bytes: 1 << 30})
	var want []byte
	for i := range 100 {
		frame := bytes.Repeat([]byte{byte('a' + i%26)}, []int{300, 10, largestShared, 1000, 3 * largestSegment}[i%5])
		want = append(want, frame...)
		l.Append(frame, "")
	}
	var got []byte
	for position := uint64(0); position < 100; {
		chunks, next, err := l.Chunks(position, largestSegment)
		if err != nil || next == position || len(chunks) > largestSegment && next != position+1 {
			t.Fatalf("%d bytes to %d, %v", len(chunks), next, err)
		}
		got = append(got, unchunk(t, chunks)...)
		position = next
	}
	if !bytes.Equal(got, want) {
		t.Fatal("the chunks differ from the frames")
	}
}

// The second chunk begins in its segment at the offset at which the first one ends in another segment.
func TestChunksOfTwoSegmentsAreNotContiguous(t *testing.T) {
	l := New(Params{Events: 1000, Bytes: 1 << 30})
	for l.plain.newest == nil || len(l.plain.newest.bytes) <= largestShared || cap(l.plain.newest.bytes) < largestSegment {
		fill(l, string(make([]byte, 1000)))
	}
	_, size := contentOf(len(l.plain.newest.bytes)) // its chunk is as long as the bytes in the shared segment
	fill(l, string(make([]byte, size)), "after")
	_, head := l.Bounds()
	if a, b := l.frames.at(head-1).plain, l.frames.at(head).plain; a.segment == b.segment || a.end != b.start {
		t.Fatalf("from %d to %d, and from %d", a.start, a.end, b.start)
	}
	if chunks, next, err := l.Chunks(head-2, 1<<20); err != nil || next != head-1 || len(chunks) != chunkSize(size) {
		t.Fatalf("%d bytes to %d, %v", len(chunks), next, err)
	}
}
