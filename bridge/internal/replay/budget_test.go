package replay

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

func TestNoBudget(t *testing.T) {
	var none *Budget
	if none.Over() || none.Trim() || none.Used() != 0 {
		t.Fatal("a nil budget is exceeded")
	}
	if b := NewBudget(0); b.Over() || b.Trim() {
		t.Fatal("a budget without logs has something to trim")
	}
}

func TestBudgetSetLimit(t *testing.T) {
	budget := NewBudget(1 << 30)
	log := newTickLog(500, Params{Events: 10_000, Bytes: 1 << 30, Budget: budget})
	defer log.Discard()
	if budget.Over() {
		t.Fatal("exceeded by", budget.Used())
	}
	budget.SetLimit(10 << 10)
	if !budget.Over() {
		t.Fatal("a lowered limit is not exceeded")
	}
	for budget.Over() {
		if !budget.Trim() {
			t.Fatal("nothing to trim")
		}
	}
	budget.SetLimit(1 << 30)
	if budget.Over() {
		t.Fatal("a raised limit is exceeded")
	}
}

func TestTrimDropsFramesOfTheLargestLog(t *testing.T) {
	budget := NewBudget(100 << 10)
	params := Params{Events: 10_000, Bytes: 1 << 30, Budget: budget}
	small, large := newTickLog(20, params), newTickLog(500, params)
	defer small.Discard()
	if !budget.Over() || budget.Used() != audit(t, small)+audit(t, large) {
		t.Fatalf("%d bytes", budget.Used())
	}
	waiting := large.Grown(500)
	for used := budget.Used(); budget.Over(); used = budget.Used() {
		if !budget.Trim() || budget.Used() >= used {
			t.Fatalf("%d bytes, and nothing to trim", budget.Used())
		}
	}
	expectBounds(t, small, 0, 20)
	floor, head := large.Bounds()
	if floor == 0 || head != 500 || large.ID(floor) != strconv.FormatUint(floor, 10) || isClosed(waiting) {
		t.Fatalf("from %d to %d", floor, head)
	}
	if _, _, err := large.Chunks(floor-1, 1); !errors.Is(err, ErrEvicted) {
		t.Fatal("a reader of a dropped frame gets no ErrEvicted", err)
	}
	for budget.Trim() { // down to the newest frames
	}
	expectBounds(t, small, 19, 20)
	expectBounds(t, large, 499, 500)
	if used := budget.Used(); used > 2*400 {
		t.Fatalf("%d bytes for two frames", used)
	}
	if position, ok := large.Find("499"); !ok || position != 499 {
		t.Fatal("the id of the frame that was dropped last is not found")
	}
	if got := len(readAll(t, large, 499)); got < 200 || got > 400 {
		t.Fatalf("the newest frame has %d bytes", got)
	}
	fill(small, "a", "b") // now there is something to trim again
	if !budget.Trim() {
		t.Fatal("a parked log that has grown is not trimmed")
	}
	expectBounds(t, small, 20, 22)
	large.Discard()
	if budget.Used() != audit(t, small) {
		t.Fatalf("%d bytes", budget.Used())
	}
}

func TestTrimDropsCompressedForms(t *testing.T) {
	budget := NewBudget(1)
	l := newTickLog(1, Params{Events: 10, Bytes: 1 << 30, Budget: budget})
	newGzipClient(l, 0).read(t, 1, 1000)
	if used := budget.Used(); used != 2*smallestSegment || used != audit(t, l) {
		t.Fatalf("%d bytes for two forms", used)
	}
	if !budget.Trim() || budget.Trim() || budget.Used() > 400 {
		t.Fatalf("%d bytes", budget.Used())
	}
	client := newGzipClient(l, 0)
	client.read(t, 1, 1000) // compresses it again
	if got, err := client.decoded(t); err != nil || string(got) != string(client.plain) {
		t.Fatal(err)
	}
	l.Discard()
	if budget.Used() != 0 {
		t.Fatal(budget.Used())
	}
}

func TestDiscard(t *testing.T) {
	budget := NewBudget(1 << 30)
	l := newTickLog(100, Params{Events: 1000, Bytes: 1 << 30, Budget: budget})
	slices, _, err := l.Read(0, 1000, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := string(slices[0])
	waiting := l.Grown(100)
	l.Discard()
	l.Discard()
	l.Append([]byte("after"), "after")
	l.Release(50)
	expectBounds(t, l, 100, 100)
	if budget.Used() != 0 || audit(t, l) != 0 || l.Full() || !isClosed(waiting) || string(slices[0]) != before {
		t.Fatalf("%d bytes are left", budget.Used())
	}
	if _, _, err := l.Read(99, 1, nil); !errors.Is(err, ErrEvicted) {
		t.Fatal(err)
	}
	for _, position := range []uint64{100, 101} {
		if _, _, _, err := l.GzipChunks(position, 0, 1); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
	if position, ok := l.Find("100"); !ok || position != 100 || l.ID(100) != "100" {
		t.Fatal("the id at the end is not found")
	}
	if position, id := l.Head(); position != 100 || id != "100" {
		t.Fatal(position, id)
	}
	if next, more := l.Pass(100, func(string) bool { return true }); next != 100 || !more {
		t.Fatal(next, more)
	}
}

// Random logs and operations: the budget counts what the logs have, and Trim fails only if no log has
// a frame to drop.
func TestTheBudgetCountsAllLogs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		budget := NewBudget(rapid.SampledFrom([]int64{1, 10 << 10, 1 << 20}).Draw(t, "limit"))
		var logs []*Log
		draw := func(t *rapid.T) *Log {
			if len(logs) == 0 {
				t.Skip("no logs")
			}
			return logs[rapid.IntRange(0, len(logs)-1).Draw(t, "log")]
		}
		t.Repeat(map[string]func(*rapid.T){
			"new": func(t *rapid.T) {
				retain := rapid.Bool().Draw(t, "retain")
				logs = append(logs, New(Params{Events: rapid.IntRange(1, 50).Draw(t, "events"), Bytes: 100 << 10, Retain: retain, Budget: budget}))
			},
			"append": func(t *rapid.T) {
				l, size := draw(t), rapid.SampledFrom([]int{0, 5, 300, 3000, 30_000}).Draw(t, "size")
				for range rapid.IntRange(1, 20).Draw(t, "frames") {
					if !l.Full() {
						l.Append(make([]byte, size), "a")
					}
				}
			},
			"gzip": func(t *rapid.T) {
				l := draw(t)
				floor, head := l.Bounds()
				position := rapid.Uint64Range(floor, head).Draw(t, "position")
				if _, _, _, err := l.GzipChunks(position, rapid.Uint64Range(0, position).Draw(t, "unbroken"), 10_000); err != nil && !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
			},
			"release": func(t *rapid.T) {
				l := draw(t)
				floor, head := l.Bounds()
				l.Release(rapid.Uint64Range(floor, head).Draw(t, "position"))
			},
			"discard": func(t *rapid.T) {
				l := draw(t)
				l.Discard()
				if memory := l.memory(); memory != 0 {
					t.Fatal(memory)
				}
			},
			"trim": func(t *rapid.T) {
				used := budget.Used()
				if trimmed := budget.Trim(); trimmed != (budget.Used() < used) {
					t.Fatalf("trimmed is %t, from %d to %d bytes", trimmed, used, budget.Used())
				} else if !trimmed {
					expectNothingToTrim(t, logs)
				}
			},
			"": func(t *rapid.T) {
				var sum int64
				for _, l := range logs {
					sum += audit(t, l)
				}
				if budget.Used() != sum {
					t.Fatalf("%d bytes are counted of %d", budget.Used(), sum)
				}
			},
		})
	})
}

func expectNothingToTrim(t *rapid.T, logs []*Log) {
	t.Helper()
	for _, l := range logs {
		if l.droppable() && l.memory() > 0 {
			t.Fatalf("a log has %d frames in %d bytes", l.frames.len(), l.memory())
		}
		if l.frames.len() == 1 && l.memory() > 2*int64(l.frames.oldest().plain.size())+16 {
			t.Fatalf("a frame of %d bytes has %d", l.frames.oldest().length(), l.memory())
		}
	}
}

// Writers, all kinds of readers, and a trimmer run at once.
func TestBudgetUnderRace(t *testing.T) {
	budget := NewBudget(200 << 10)
	var all sync.WaitGroup
	var running atomic.Int64
	for i := range 4 {
		l := New(Params{Events: 10_000, Bytes: 1 << 30, Retain: i == 3, Budget: budget})
		running.Add(1)
		all.Go(func() { // the writer, and the reader whose progress it waits for
			defer running.Add(-1)
			defer l.Discard()
			source := newTickSource()
			for range 1000 {
				l.Append(source.appendTo(nil), "a")
				if l.Full() {
					_, head := l.Bounds()
					l.Release(head)
				}
			}
		})
		for reader := range 3 {
			all.Go(func() { followForms(t, l, reader) })
		}
	}
	all.Go(func() {
		for running.Load() > 0 {
			for budget.Over() && budget.Trim() {
			}
		}
	})
	all.Wait()
	if used := budget.Used(); used != 0 || len(budget.logs) != 0 {
		t.Fatalf("%d bytes are left", used)
	}
}

// followForms reads the log to its end in one of three ways, and continues after lost frames.
func followForms(t *testing.T, l *Log, kind int) {
	position, unbroken := uint64(0), uint64(0)
	for {
		var next uint64
		var err error
		switch kind {
		case 0:
			_, next, err = l.Chunks(position, 16<<10)
		case 1:
			_, next, _, err = l.GzipChunks(position, unbroken, 16<<10)
		default:
			_, next, _, err = l.ReadGzip(position, unbroken, 16<<10, nil)
		}
		switch {
		case errors.Is(err, io.EOF):
			return
		case errors.Is(err, ErrEvicted):
			next, _ = l.Floor()
			unbroken = next
		case err != nil:
			t.Error(err)
			return
		case next == position:
			<-l.Grown(position)
		}
		position = next
	}
}

// Even the newest frame is dropped if all readers have it: logs whose readers have each taken a large
// frame stay within the budget and cost other logs no frame.
func TestReleasedFramesAreDroppedFirst(t *testing.T) {
	const limit, large = 4 << 20, 100 << 10
	budget := NewBudget(limit)
	shared := newTickLog(1000, Params{Events: 10_000, Bytes: 1 << 30, Budget: budget})
	defer shared.Discard()
	for range 100 {
		l := New(Params{Events: 10, Bytes: 1 << 30, Retain: true, Budget: budget})
		t.Cleanup(l.Discard)
		fill(l, "a", strings.Repeat("x", large))
		l.Release(2)
		for budget.Over() && budget.Trim() {
		}
		if used := budget.Used(); used > limit {
			t.Fatalf("%d bytes of %d are used", used, limit)
		}
		if position, id := l.Head(); position != 2 || id != strings.Repeat("x", large) {
			t.Fatal("the log does not know its head")
		}
		audit(t, l)
	}
	expectBounds(t, shared, 0, 1000)
}

// The newest frame stays if it is the end of the stream, or if the log may have readers that do not
// report their progress.
func TestTheNewestFrameStays(t *testing.T) {
	budget := NewBudget(1)
	ended := New(Params{Events: 10, Bytes: 1 << 30, Retain: true, Budget: budget})
	defer ended.Discard()
	fill(ended, "a", "end")
	ended.Close()
	ended.Release(2)
	shared := New(Params{Events: 10, Bytes: 1 << 30, Budget: budget})
	defer shared.Discard()
	shared.SetRetain(true)
	fill(shared, "a", "b")
	shared.Release(2)
	for budget.Trim() {
	}
	expectBounds(t, ended, 1, 2)
	expectBounds(t, shared, 1, 2)
}

// Other logs would be trimmed for it.
func TestDiscardNeverExceedsTheBudgetForAMoment(t *testing.T) {
	budget := NewBudget(64 << 10)
	shared := New(Params{Events: 10, Bytes: 1 << 30, Budget: budget})
	defer shared.Discard()
	fill(shared, strings.Repeat("x", 30<<10))
	var over atomic.Bool
	var done atomic.Bool
	var looking sync.WaitGroup
	looking.Go(func() {
		for !done.Load() {
			if budget.Over() {
				over.Store(true)
			}
		}
	})
	for range 20_000 {
		l := New(Params{Events: 10, Bytes: 1 << 30, Retain: true, Budget: budget})
		fill(l, strings.Repeat("x", 17<<10))
		l.Discard()
	}
	done.Store(true)
	looking.Wait()
	if over.Load() {
		t.Error("the budget is exceeded while a log drops retained frames")
	}
}
