package replay

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// pieceMemory adds up the memory of the pieces of one kind.
type pieceMemory struct {
	pieces map[*segment]int
	used   int64 // by pieces in the log
}

func (m *pieceMemory) add(p piece) {
	if p.segment != nil {
		m.pieces[p.segment]++
		m.used += int64(p.size())
	}
}

func (m *pieceMemory) size(t rapid.TB) (size int64) {
	t.Helper()
	for s, pieces := range m.pieces {
		size += int64(cap(s.bytes))
		if s.pieces != pieces {
			t.Fatalf("a segment of %d pieces counts %d", pieces, s.pieces)
		}
	}
	return size
}

// zipped returns the frame's forms that have been made.
func (f *frame) zipped() forms {
	if f.forms == nil {
		return forms{}
	}
	return *f.forms
}

// audit returns the memory of everything in a log. It must be what the log counts, and within the
// bounds that Log documents.
func audit(t rapid.TB, l *Log) (total int64) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var bytes int64
	kinds := [3]pieceMemory{{pieces: map[*segment]int{}}, {pieces: map[*segment]int{}}, {pieces: map[*segment]int{}}}
	for number := l.frames.floor + 1; number <= l.frames.head(); number++ {
		f := l.frames.at(number)
		kinds[0].add(f.plain)
		zipped := f.zipped()
		kinds[1].add(zipped.chained)
		kinds[2].add(zipped.standalone)
		bytes += int64(f.length())
		for _, form := range []piece{f.plain, zipped.chained, zipped.standalone} {
			if length := f.length(); form.size() > length+32+length/1000+len(crlf) {
				t.Fatalf("a form of %d bytes, of a frame of %d", form.size(), length)
			}
		}
	}
	counted := [3]int64{l.plain.memory, l.chained.memory, l.standalone.memory}
	for i := range kinds {
		size := kinds[i].size(t)
		if size != counted[i] {
			t.Fatalf("segments of %d bytes, %d are counted", size, counted[i])
		}
		if i == 0 && size > kinds[i].used*4/3+192<<10 {
			t.Fatalf("segments of %d bytes, %d of them used", size, kinds[i].used)
		}
		total += size
	}
	if pinned := pinnedBy(l); pinned != l.pinned || pinned != l.pinnedReported.Load() && l.params.Budget != nil {
		t.Fatalf("%d bytes are pinned, %d are counted and %d reported", pinned, l.pinned, l.pinnedReported.Load())
	}
	if bytes != l.bytes {
		t.Fatalf("frames of %d bytes, %d are counted", bytes, l.bytes)
	}
	expectNothingInUnusedSlots(t, l)
	return total
}

// pinnedBy adds up the segments with retained frames.
func pinnedBy(l *Log) (total int64) {
	seen := map[*segment]bool{nil: true}
	for number := l.frames.floor + 1; number <= l.frames.head(); number++ {
		f := l.frames.at(number)
		for _, form := range []piece{f.plain, f.zipped().chained, f.zipped().standalone} {
			if l.params.Retain && number > l.released && !seen[form.segment] {
				seen[form.segment] = true
				total += int64(cap(form.segment.bytes))
			}
		}
	}
	return total
}

func expectNothingInUnusedSlots(t rapid.TB, l *Log) {
	t.Helper()
	inUse := map[*frame]bool{}
	for number := l.frames.floor + 1; number <= l.frames.head(); number++ {
		inUse[l.frames.at(number)] = true
	}
	for i := range l.frames.slots {
		if slot := &l.frames.slots[i]; !inUse[slot] && *slot != (frame{}) {
			t.Fatal("an unused slot has a frame")
		}
	}
}

// The bounds are those that Log documents.
func TestMemoryIsBounded(t *testing.T) {
	sizes := map[string]func() int{
		"one":             func() int { return 1 },
		"ticks":           func() int { return 300 },
		"a half":          func() int { return largestSegment/2 + 1 },
		"just shared":     func() int { return largestShared - 8 },
		"just not shared": func() int { return largestShared },
		"growing":         func() int { return 1 << rand.IntN(17) },
		"mixed":           func() int { return []int{0, 10, 300, 9_000, 20_000, 100_000}[rand.IntN(6)] },
	}
	for name, size := range sizes {
		t.Run(name, func(t *testing.T) {
			l := New(Params{Events: 500, Bytes: 1 << 20})
			for i := range 3000 {
				l.Append(make([]byte, size()), "")
				if i%10 == 0 {
					audit(t, l)
				}
			}
			if len(l.frames.slots) > 512 {
				t.Fatalf("%d slots for 500 frames", len(l.frames.slots))
			}
		})
	}
}

// Lagging readers make forms of old frames next to those of new ones.
func TestMemoryOfFormsIsBounded(t *testing.T) {
	const events = 300
	l, source := New(Params{Events: events, Bytes: 1 << 30}), newTickSource()
	var largest int64
	for range 20 * events {
		l.Append(source.appendTo(nil), "")
		floor, head := l.Bounds()
		for range 1 + rand.IntN(3) {
			position := floor + rand.Uint64N(head-floor)
			if rand.IntN(2) == 0 {
				position = head - 1
			}
			if _, _, _, err := l.GzipChunks(position, rand.Uint64N(position+1), 1); err != nil {
				t.Fatal(err)
			}
		}
		var chained, standalone int64
		for number := floor + 1; number <= head; number++ {
			chained += int64(l.frames.at(number).zipped().chained.size())
			standalone += int64(l.frames.at(number).zipped().standalone.size())
		}
		largest = max(largest, chained, standalone)
		if memory := max(l.chained.memory, l.standalone.memory); memory > largest*8/3+192<<10 {
			t.Fatalf("%d bytes of memory for %d", memory, largest)
		}
	}
	audit(t, l)
	for range events { // without readers
		l.Append(source.appendTo(nil), "")
	}
	if l.chained.memory != 0 || l.standalone.memory != 0 {
		t.Fatal("forms stay without their frames")
	}
}

// The garbage collector frees trimmed and discarded memory, and readers keep their slices.
func TestTrimmedMemoryIsFreed(t *testing.T) {
	const logs, megabytes = 16, 2
	budget := NewBudget(1)
	live := func() int64 {
		runtime.GC()
		runtime.GC() // pools keep their content for one more cycle
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	empty := live()
	var all []*Log
	for range logs {
		l := New(Params{Events: 1 << 20, Bytes: megabytes << 20, Budget: budget})
		source := newTickSource()
		for l.bytes < megabytes<<20-1000 {
			l.Append(source.appendTo(nil), strconv.Itoa(source.seq))
		}
		all = append(all, l)
	}
	full := live()
	if used := budget.Used(); used < logs*megabytes<<20 || full-empty < used {
		t.Fatalf("%d bytes are counted, %d are in use", used, full-empty)
	}
	kept, _, err := all[0].Chunks(0, largestSegment)
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Clone(kept)
	for budget.Trim() {
	}
	trimmed := live()
	if used := budget.Used(); used > logs<<10 || trimmed-empty > 1<<20 {
		t.Fatalf("%d bytes are counted and %d are in use when all is trimmed", used, trimmed-empty)
	}
	for _, l := range all {
		if l.frames.len() != 1 {
			t.Fatalf("%d frames are left", l.frames.len())
		}
		audit(t, l)
		l.Discard()
	}
	if used := budget.Used(); used != 0 || len(budget.logs) != 0 {
		t.Fatalf("%d bytes are counted when all is discarded", used)
	}
	if !bytes.Equal(kept, want) {
		t.Fatal("a reader's bytes have changed")
	}
	runtime.KeepAlive(all)
}
