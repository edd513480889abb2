package logqueue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ssebridge/ssebridge/internal/logqueue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink is a log that blocks while it is shut, and fails while it has a fault.
type sink struct {
	gate  chan struct{} // holds a token while the sink is open
	text  bytes.Buffer  // guarded by the gate
	fault error         // guarded by the gate
}

func newSink() *sink {
	s := &sink{gate: make(chan struct{}, 1)}
	s.open()
	return s
}

func (s *sink) shut() { <-s.gate }
func (s *sink) open() { s.gate <- struct{}{} }

func (s *sink) fails(err error) {
	s.shut()
	defer s.open()
	s.fault = err
}

func (s *sink) Write(line []byte) (int, error) {
	s.shut()
	defer s.open()
	if s.fault != nil {
		return 0, s.fault
	}
	return s.text.Write(line)
}

func (s *sink) String() string {
	s.shut()
	defer s.open()
	return s.text.String()
}

// handler returns a handler that writes to the sink without the time.
func (s *sink) handler() slog.Handler {
	return slog.NewTextHandler(s, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
}

func TestLinesAreWrittenInOrder(t *testing.T) {
	s := newSink()
	q := logqueue.New(s.handler())
	logger := slog.New(q.Handler()).With("of", "one").WithGroup("g")
	var want strings.Builder
	for i := range 1000 {
		logger.Info("line", "n", i)
		fmt.Fprintf(&want, "level=INFO msg=line of=one g.n=%d\n", i)
		if i%100 == 0 {
			q.Flush(time.Minute) // the writer ends, and another begins
		}
	}
	q.Put(logqueue.Text(s, "the end\n"))
	want.WriteString("the end\n")
	if !q.Flush(time.Minute) || s.String() != want.String() {
		t.Errorf("%s", s)
	}
	if lost := q.Lost(); lost != (logqueue.Lost{}) {
		t.Errorf("lost %+v", lost)
	}
}

func TestStalledLogBlocksNoCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink()
		q := logqueue.New(s.handler())
		logger := slog.New(q.Handler())
		logger.Info("first")
		q.Flush(time.Minute)

		s.shut()
		logger.Info("the writer blocks with this one")
		synctest.Wait()
		for range logqueue.Room + 10 {
			logger.Info("waits")
		}
		if lost := q.Lost(); lost.Dropped != 10 {
			t.Errorf("lost %+v", lost)
		}
		began := time.Now()
		if q.Flush(time.Second) {
			t.Error("everything is written")
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("flushing took %v", took)
		}
		s.open()
		synctest.Wait()
		logger.Info("last")
		synctest.Wait()

		got := s.String()
		if n := strings.Count(got, "msg=waits"); n != logqueue.Room {
			t.Errorf("%d lines were written", n)
		}
		report := "level=WARN msg=\"log lines were lost\" dropped=10 failed=0\n"
		if strings.Count(got, "log lines were lost") != 1 || !strings.Contains(got, report) || !strings.HasSuffix(got, "level=INFO msg=last\n") {
			t.Errorf("the last lines are %q", got[max(0, len(got)-200):])
		}
	})
}

func TestFloodIsReportedEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		q := logqueue.New(slog.NewTextHandler(&log, nil))
		slow := func() error { time.Sleep(time.Millisecond); return nil }
		stop := time.Now().Add(5 * time.Second)
		for time.Now().Before(stop) {
			for range 100 {
				q.Put(lineFunc(slow))
			}
			time.Sleep(10 * time.Millisecond)
		}
		q.Flush(time.Minute)
		reports := strings.Count(log.String(), "log lines were lost")
		if reports < 2 || reports > 15 {
			t.Errorf("%d reports in 5 s of loss and the time that the rest takes", reports)
		}
	})
}

type lineFunc func() error

func (f lineFunc) Write() error { return f() }

func TestMinorLinesLeaveRoom(t *testing.T) {
	s := newSink()
	q := logqueue.New(s.handler())
	s.shut()
	minor := logqueue.Text(s, "minor\n")
	for range 2 * logqueue.Room {
		q.PutMinor(minor)
	}
	before := q.Lost().Dropped
	for range 1000 {
		q.Put(logqueue.Text(s, "major\n"))
	}
	if lost := q.Lost().Dropped - before; lost != 0 {
		t.Errorf("%d lines found no room among minor ones", lost)
	}
	s.open()
	q.Flush(time.Minute)
	if n := strings.Count(s.String(), "major"); n != 1000 {
		t.Errorf("%d lines were written", n)
	}
}

func TestFailedWritesAreCountedAndReported(t *testing.T) {
	s := newSink()
	q := logqueue.New(s.handler())
	logger := slog.New(q.Handler())
	s.fails(errors.New("no space left on device"))
	for range 5 {
		logger.Info("lost")
		q.Flush(time.Minute)
	}
	if lost := q.Lost(); lost != (logqueue.Lost{Failed: 5}) {
		t.Errorf("lost %+v", lost)
	}
	s.fails(nil)
	logger.Info("written")
	q.Flush(time.Minute)
	want := "level=INFO msg=written\nlevel=WARN msg=\"log lines were lost\" dropped=0 failed=5 error=\"no space left on device\"\n"
	if got := s.String(); got != want {
		t.Errorf("%q", got)
	}
}

func TestManyGoroutinesLogAtOnce(t *testing.T) {
	s := newSink()
	q := logqueue.New(s.handler())
	logger := slog.New(q.Handler())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 400 {
				logger.Info("line")
				q.PutMinor(logqueue.Text(s, "minor\n"))
			}
		})
	}
	all.Wait()
	q.Flush(time.Minute)
	if n := strings.Count(s.String(), "\n"); n != 6400 {
		t.Errorf("%d lines", n)
	}
}

func TestHandlerHasTheLevelAndTheContextOfItsLog(t *testing.T) {
	type key struct{}
	seen := make(chan any, 1)
	inner := contextHandler{slog.NewTextHandler(&bytes.Buffer{}, &slog.HandlerOptions{Level: slog.LevelWarn}), func(ctx context.Context) {
		seen <- ctx.Value(key{})
	}}
	q := logqueue.New(inner)
	h := q.Handler()
	if h.Enabled(t.Context(), slog.LevelInfo) || !h.Enabled(t.Context(), slog.LevelWarn) {
		t.Error("another level than the log's")
	}
	if of, log := logqueue.Of(h); of != q || log == nil {
		t.Error("the handler's queue is not found")
	}
	if of, _ := logqueue.Of(inner); of != nil {
		t.Error("a handler without a queue has one")
	}
	slog.New(h).WarnContext(context.WithValue(t.Context(), key{}, 7), "line")
	if got := <-seen; got != 7 {
		t.Errorf("the context's value is %v", got)
	}
	q.Flush(time.Minute)
}

type contextHandler struct {
	slog.Handler

	see func(context.Context)
}

func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	h.see(ctx)
	return h.Handler.Handle(ctx, r)
}

// BenchmarkPut measures the cost of a line for the goroutine that logs it.
func BenchmarkPut(b *testing.B) {
	q := logqueue.New(slog.DiscardHandler)
	line := logqueue.Text(&bytes.Buffer{}, "")
	b.ReportAllocs()
	for b.Loop() {
		q.Put(line)
	}
	q.Flush(time.Minute)
}
