package replay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var roomy = Params{Events: 1000, Bytes: 1 << 20}

// fill appends each word, with itself as its id.
func fill(l *Log, words ...string) *Log {
	for _, word := range words {
		l.Append([]byte(word), word)
	}
	return l
}

// readAll returns the words after a position, separated by spaces.
func readAll(t *testing.T, l *Log, position uint64) string {
	t.Helper()
	var words []string
	for {
		slices, next, err := l.Read(position, 1, nil)
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatalf("read at %d: %v", position, err)
		}
		if next == position {
			return strings.Join(words, " ")
		}
		words = append(words, string(bytes.Join(slices, nil)))
		position = next
	}
}

func expectBounds(t *testing.T, l *Log, floor, head uint64) {
	t.Helper()
	if f, h := l.Bounds(); f != floor || h != head {
		t.Fatalf("bounds %d, %d; want %d, %d", f, h, floor, head)
	}
}

func TestEmpty(t *testing.T) {
	l := New(roomy)
	expectBounds(t, l, 0, 0)
	if slices, position, err := l.Read(0, 100, nil); len(slices) != 0 || position != 0 || err != nil {
		t.Fatal(slices, position, err)
	}
	if _, ok := l.Find("x"); ok {
		t.Fatal("found in an empty log")
	}
	if _, ok := l.Find(""); ok {
		t.Fatal("found no id in an empty log")
	}
	if id := l.ID(0); id != "" {
		t.Fatal(id)
	}
	if id := l.ID(5); id != "" {
		t.Fatal(id)
	}
	l.Release(7)
	if l.Full() {
		t.Fatal("full")
	}
	l.Close()
	if _, _, err := l.Read(0, 100, nil); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

func TestBoundOfEvents(t *testing.T) {
	l := New(Params{Events: 3, Bytes: 1 << 20})
	fill(l, "a", "b", "c")
	expectBounds(t, l, 0, 3)
	fill(l, "d", "e")
	expectBounds(t, l, 2, 5)
	if got := readAll(t, l, 2); got != "c d e" {
		t.Fatal(got)
	}
	if _, position, err := l.Read(1, 100, nil); !errors.Is(err, ErrEvicted) || position != 1 {
		t.Fatal(position, err)
	}
}

func TestBoundOfBytes(t *testing.T) {
	l := New(Params{Events: 1000, Bytes: 10})
	fill(l, "aaaa", "bbbb")
	expectBounds(t, l, 0, 2)
	fill(l, "cc")
	expectBounds(t, l, 0, 3)
	fill(l, "d")
	expectBounds(t, l, 1, 4)
	fill(l, strings.Repeat("e", 100)) // the newest frame stays, whatever its size
	expectBounds(t, l, 4, 5)
	if got := readAll(t, l, 4); len(got) != 100 {
		t.Fatal(got)
	}
	fill(l, "f")
	expectBounds(t, l, 5, 6)
}

func TestBoundOfAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Params{Events: 1000, Bytes: 1 << 20, Age: 10 * time.Second})
		fill(l, "a")
		time.Sleep(4 * time.Second)
		fill(l, "b")
		time.Sleep(6 * time.Second)
		expectBounds(t, l, 0, 2) // a has just reached the bound
		time.Sleep(time.Nanosecond)
		expectBounds(t, l, 1, 2) // a expires without an Append
		if position, ok := l.Find("a"); !ok || position != 1 {
			t.Fatal("the id of the newest dropped frame is not found", position, ok)
		}
		time.Sleep(time.Hour)
		expectBounds(t, l, 1, 2) // the newest frame stays
		fill(l, "c")
		expectBounds(t, l, 2, 3)
		if _, ok := l.Find("a"); ok {
			t.Fatal("an older dropped id is found")
		}
	})
}

func TestFramesWithoutAnAgeBoundStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := fill(New(roomy), "a", "b")
		time.Sleep(10000 * time.Hour)
		expectBounds(t, l, 0, 2)
	})
}

func TestFind(t *testing.T) {
	l := New(Params{Events: 4, Bytes: 1 << 20})
	fill(l, "a", "b", "a", "c")
	for id, want := range map[string]uint64{"a": 3, "b": 2, "c": 4} {
		if position, ok := l.Find(id); !ok || position != want {
			t.Errorf("%s is at %d %t, want %d", id, position, ok, want)
		}
	}
	fill(l, "d", "e", "f") // drops a, b, a: only the id dropped last is still found
	if position, ok := l.Find("a"); !ok || position != 3 {
		t.Errorf("the id that was dropped last is at %d %t", position, ok)
	}
	for _, id := range []string{"b", "", "z"} {
		if position, ok := l.Find(id); ok {
			t.Errorf("%q is at %d", id, position)
		}
	}
	for position, want := range map[uint64]string{2: "", 3: "a", 4: "c", 7: "f", 8: "", 1 << 63: ""} {
		if id := l.ID(position); id != want {
			t.Errorf("the id at %d is %q, want %q", position, id, want)
		}
	}
}

func TestReadStopsAtTheLimit(t *testing.T) {
	l := fill(New(roomy), "aaaa", "bbbb", "cccc")
	for limit, want := range map[int]string{0: "aaaa", 3: "aaaa", 4: "aaaa", 7: "aaaa", 8: "aaaabbbb", 11: "aaaabbbb", 12: "aaaabbbbcccc", 99: "aaaabbbbcccc"} {
		slices, position, err := l.Read(0, limit, nil)
		if got := string(bytes.Join(slices, nil)); err != nil || got != want || position != uint64(len(want)/4) {
			t.Errorf("limit %d: %q to %d, %v", limit, got, position, err)
		}
	}
}

func TestReadCrossesSegments(t *testing.T) {
	l := New(Params{Events: 10000, Bytes: 1 << 30})
	var want []byte
	for i := range 2000 {
		frame := fmt.Appendf(nil, "%0*d\n", 1+i%300, i)
		want = append(want, frame...)
		l.Append(frame, "")
	}
	slices, position, err := l.Read(0, 1<<30, nil)
	if err != nil || position != 2000 || len(slices) != 2000 || !bytes.Equal(bytes.Join(slices, nil), want) {
		t.Fatalf("%d slices to %d, %v", len(slices), position, err)
	}
	var got []byte
	for position = 0; position < 2000; {
		before := position
		slices, position, err = l.Read(position, 5000, slices[:0])
		piece := bytes.Join(slices, nil)
		if err != nil || position == before || len(piece) > 5000 {
			t.Fatalf("%d bytes to %d, %v", len(piece), position, err)
		}
		got = append(got, piece...)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("the pieces differ from the frames")
	}
}

func TestReadAppends(t *testing.T) {
	l := fill(New(roomy), "b")
	slices, _, err := l.Read(0, 10, [][]byte{[]byte("a")})
	if got := string(bytes.Join(slices, nil)); err != nil || got != "ab" {
		t.Fatal(got, err)
	}
}

// A reader's slices do not change when frames are appended and dropped. Their capacity ends with the
// frame, so a reader cannot append over the next one.
func TestSlicesAreImmutable(t *testing.T) {
	l := New(Params{Events: 2, Bytes: 1 << 20})
	frame := []byte("first")
	l.Append(frame, "1")
	slices, _, err := l.Read(0, 100, nil)
	if err != nil || len(slices) != 1 || cap(slices[0]) != len(slices[0]) {
		t.Fatal(slices, err)
	}
	copy(frame, "XXXXX") // Append has copied the frame
	for range 5000 {
		l.Append([]byte("another"), "n")
	}
	if string(slices[0]) != "first" {
		t.Fatalf("it became %q", slices[0])
	}
}

// An empty frame has a number like any other.
func TestEmptyFrame(t *testing.T) {
	l := fill(New(roomy), "", "a", "", "b")
	slices, position, err := l.Read(0, 100, nil)
	if got := string(bytes.Join(slices, nil)); err != nil || position != 4 || got != "ab" {
		t.Fatal(got, position, err)
	}
	l = fill(New(roomy), "")
	if _, position, err := l.Read(0, 100, nil); err != nil || position != 1 {
		t.Fatal(position, err)
	}
}

func TestClosed(t *testing.T) {
	l := fill(New(roomy), "a", "b")
	l.Close()
	l.Close()
	fill(l, "c")
	expectBounds(t, l, 0, 2)
	if slices, position, err := l.Read(0, 100, nil); err != nil || position != 2 || len(slices) != 2 {
		t.Fatal(slices, position, err)
	}
	for _, position := range []uint64{2, 3} {
		if _, _, err := l.Read(position, 100, nil); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
}
