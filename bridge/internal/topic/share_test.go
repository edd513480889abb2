package topic

import (
	"context"
	"io"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// A hundred clients that come before the backend has answered share one RPC,
// and so do those that come to a backend that never says a word.
func TestJoinOpensOnce(t *testing.T) {
	for name, a := range map[string]answer{
		"slow to open":  {slow: time.Minute},
		"slow to speak": {silent: true},
		"at once":       {},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, anyLimits, func(t *testing.T, w *world) {
				w.backend.then(a)
				var clients sync.WaitGroup
				for range 100 {
					clients.Go(func() {
						sub, err := w.registry.Join(w.wish("k"))
						if err != nil {
							t.Error(err)
							return
						}
						time.Sleep(2 * time.Minute)
						sub.Leave()
					})
				}
				time.Sleep(time.Minute)
				w.expectOpens(1)
				w.expectTopics(1)
				clients.Wait()
				w.expectOpens(1)
				w.expectTopics(0) // no client was sent a stream-open
				w.expectRunning(0)
			})
		})
	}
}

// A backend may answer before its first client is placed behind the newest
// frame: that is before the first message all the same.
func TestFirstMessageIsNotMissed(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		for i := range 300 {
			w.params.Source = prompt{}
			sub, err := w.registry.Join(w.wish(strconv.Itoa(i % 100)))
			if err != nil {
				t.Fatal(err)
			}
			if sub.Position != 0 {
				t.Fatalf("the first client starts at %d", sub.Position)
			}
			sub.Leave()
		}
	})
}

// prompt is a Source that has a message at once, and fails for good after it.
type prompt struct{}

// Open opens an RPC.
func (p prompt) Open(context.Context, []byte) (Stream, error) { return p, nil }

// Accepted says that it is.
func (prompt) Accepted() error { return nil }

// Next hands over a message.
func (prompt) Next(message func([]byte) error) error {
	if err := message([]byte("1")); err != nil {
		return err
	}
	return errFatal
}

// Close does nothing.
func (prompt) Close() {}

func TestKeysKeepClientsApart(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		a := w.join("a")
		w.backend.send(t, "1")
		b := w.join("b")
		w.backend.send(t, "2")
		a.expect("1")
		b.expect("2")
		w.expectOpens(2)
		// A client that knows another one's epoch does not get its log.
		spy := w.join("b", at("e1", 0))
		if spy.sub.Start != Missed || spy.sub.Topic != b.sub.Topic {
			t.Fatalf("start %d in topic %s", spy.sub.Start, spy.sub.Topic.Epoch())
		}
	})
}

func TestJoinLiveAndHeld(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.params.Log.Events = 3
		first := w.join("k")
		w.backend.send(t, "1", "2", "3", "4")
		live, old := w.join("k"), w.join("k", held)
		w.backend.send(t, "5")
		live.expect("5")
		old.expect("lagged") // 2 has gone since
		late := w.join("k", held)
		late.expect("3 4 5")
		first.expect("lagged")
		if late.sub.Start != Fresh || live.sub.Start != Fresh {
			t.Fatal("clients without a place start fresh")
		}
	})
}

func TestPlaces(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.params.Log.Events = 3
		w.params.Renderer = &renderer{cursors: true}
		w.join("k")
		w.backend.send(t, "c1", "c2", "c3", "c4", "c5") // c1 and c2 have gone, c2 is the last that did
		for _, test := range []struct {
			name   string
			place  func(*Join)
			start  Start
			missed reason.Gap
			reads  string
		}{
			{"newest", after("c5"), Resumed, "", ""},
			{"in the middle", after("c4"), Resumed, "", "c5"},
			{"the newest that fell out", after("c2"), Resumed, "", "c3 c4 c5"},
			{"fallen out", after("c1"), Missed, reason.GapExpired, "c3 c4 c5"},
			{"never there", after("c9"), Missed, reason.GapExpired, "c3 c4 c5"},
			{"number", at("e1", 4), Resumed, "", "c5"},
			{"number at the floor", at("e1", 2), Resumed, "", "c3 c4 c5"},
			{"number at the head", at("e1", 5), Resumed, "", ""},
			{"number below the floor", at("e1", 1), Missed, reason.GapExpired, "c3 c4 c5"},
			{"number above the head", at("e1", 6), Missed, reason.GapForgotten, "c3 c4 c5"},
			{"the largest number", at("e1", 1<<64-1), Missed, reason.GapForgotten, "c3 c4 c5"},
			{"another log", at("e9", 4), Missed, reason.GapRestarted, "c3 c4 c5"},
		} {
			t.Log(test.name)
			c := w.join("k", test.place)
			if c.sub.Start != test.start || c.sub.Missed != test.missed {
				t.Errorf("%s: start %d %q, want %d %q", test.name, c.sub.Start, c.sub.Missed, test.start, test.missed)
			}
			c.expect(test.reads)
			c.leave()
		}
		w.expectOpens(1)
	})
}

// Nothing has fallen out of a log that begins at its beginning: a place that
// it does not hold is of another time.
func TestPlaceInANewLog(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.params.Renderer = &renderer{cursors: true}
		for _, place := range []func(*Join){after("c1"), at("gone", 3), after("\x00garbage")} {
			c := w.join("k", place)
			if c.sub.Start != Missed || c.sub.Missed != reason.GapRestarted || c.sub.Position != 0 {
				t.Errorf("start %d %q at %d", c.sub.Start, c.sub.Missed, c.sub.Position)
			}
		}
	})
}

// Rules 14 and 15 of the resuming rules: a finished log serves its own places while
// it lingers; a client without one opens the RPC again.
func TestFinishedLog(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.params.Renderer = &renderer{cursors: true}
		first := w.join("k")
		w.backend.send(t, "c1", "c2")
		w.backend.fail(t, io.EOF)
		first.expect("c1 c2 end:<nil> EOF")
		first.leave()
		w.expectRunning(0)

		byCursor := w.join("k", after("c1"))
		byCursor.expect("c2 end:<nil> EOF")
		byNumber := w.join("k", at("e1", 0))
		byNumber.expect("c1 c2 end:<nil> EOF")
		w.expectOpens(1)

		fresh := w.join("k")
		w.expectOpens(2)
		w.backend.send(t, "c1")
		fresh.expect("c1")

		byCursor = w.join("k", after("c1"))
		if byCursor.sub.Topic != fresh.sub.Topic {
			t.Fatal("a cursor leads to a finished log though a new one runs")
		}
		byNumber = w.join("k", at("e1", 1))
		byNumber.expect("c2 end:<nil> EOF")
		w.expectTopics(2)
		unknown := w.join("k", after("c7"))
		if unknown.sub.Topic != fresh.sub.Topic || unknown.sub.Start != Missed {
			t.Fatal("a cursor that no log holds belongs to the running one")
		}
	})
}

func TestFinishedLogWithoutThePlace(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		first := w.join("k")
		w.backend.fail(t, io.EOF)
		first.expect("end:<nil> EOF")
		stranger := w.join("k", at("gone", 7))
		w.expectOpens(2)
		if stranger.sub.Start != Missed || stranger.sub.Missed != reason.GapRestarted {
			t.Fatalf("start %d %q", stranger.sub.Start, stranger.sub.Missed)
		}
	})
}

// The last frame and the news of the end come at once, as joiners see it: one
// that came between them would start behind the last frame, be told nothing,
// and come back to the same place again and again.
func TestTheEndIsOneStep(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		ending := &endingRenderer{ended: make(chan struct{})}
		w.params.Renderer = ending
		first := w.join("k")
		w.backend.send(t, "1")
		other := w.wish("other")
		open := other.Open
		other.Open = func([]byte, bool) (string, Params) { // under the registry's lock
			w.backend.newest.parts <- part{err: io.EOF}
			<-ending.ended
			for range 1000 {
				runtime.Gosched()
			}
			if _, head := first.sub.Log().Bounds(); head != 1 {
				t.Error("the last frame is in the log of a topic that is not finished")
			}
			return open(nil, false)
		}
		if _, err := w.registry.Join(other); err != nil {
			t.Fatal(err)
		}
		first.expect("1 end:<nil> EOF")
	})
}

// endingRenderer says when it has rendered the end.
type endingRenderer struct {
	renderer
	ended chan struct{}
}

// End renders the end.
func (r *endingRenderer) End(err error) ([]byte, string) {
	defer close(r.ended)
	return r.renderer.End(err)
}
