package bridge_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// probe sends a request to the admin handler.
func probe(b http.Handler, path string) (int, string) {
	recorder := httptest.NewRecorder()
	b.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	return recorder.Code, recorder.Body.String()
}

// The bridge is unready at once, serves for drain.delay, and asks its clients evenly over drain.grace.
func TestDrainAsksAllClientsAndLosesNothing(t *testing.T) {
	onBothWith(t, "drain: {delay: 5s, grace: 20s}", "request: {query: true}", func(t *testing.T, w *world) {
		if code, text := probe(w.Bridge.Admin(), "/readyz"); code != http.StatusOK || text != "ready\n" {
			t.Errorf("/readyz says %d %q", code, text)
		}
		var clients []*ssetest.Client
		for range 40 {
			clients = append(clients, w.listen("/feed", ssetest.Options{}))
		}
		rpc := w.rpc()
		rpc.count(1, 1)

		began := time.Now()
		drained := make(chan error, 1)
		go func() { drained <- w.Bridge.Drain(context.Background()) }()
		synctest.Wait()
		if code, text := probe(w.Bridge.Admin(), "/readyz"); code != http.StatusServiceUnavailable || text != "not ready\ndraining\n" {
			t.Errorf("/readyz says %d %q while draining", code, text)
		}
		if code, _ := probe(w.Bridge.Admin(), "/healthz"); code != http.StatusOK {
			t.Errorf("/healthz says %d while draining", code)
		}
		time.Sleep(5*time.Second - 1)
		rpc.count(2, 2)
		for _, c := range clients {
			expect(t, c, "open 1 2")
		}
		late := w.listen("/feed?last_event_id="+url.QueryEscape(clients[0].Snapshot().Events[1].ID), ssetest.Options{})
		expect(t, late, "open 2") // the bridge still serves
		late.Close()

		for asked := 0; time.Since(began) < 25*time.Second; asked++ {
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
			ended := 0
			for _, c := range clients {
				if c.Snapshot().Ended != nil {
					ended++
				}
			}
			if want := min(asked+1, 40); ended < want-1 || ended > want+1 {
				t.Errorf("%v after the delay %d of 40 were asked to reconnect, want %d", time.Since(began)-5*time.Second, ended, want)
			}
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
		for _, c := range clients {
			endedWell(t, c)
			expect(t, c, "open 1 2 retry:drain")
			if retry := c.Snapshot().Retry; retry > time.Second {
				t.Errorf("asked to reconnect after %v", retry)
			}
		}
	})
}

func onBothWith(t *testing.T, top, keys string, play func(t *testing.T, w *world)) {
	t.Helper()
	for name, ids := range both {
		t.Run(name, func(t *testing.T) {
			inWorld(t, top+"\n"+feedRoute(strings.Trim(ids+", "+keys, ", ")), play)
		})
	}
}

// drained returns a bridge that has drained, and asks every client to reconnect.
func drained(t *testing.T, w *world) {
	t.Helper()
	if err := w.Bridge.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// They keep their ids. Rule 6 of docs/resuming.md: no block without an id comes first.
func TestADrainedBridgeAsksClientsToReconnect(t *testing.T) {
	long := strings.Repeat("z", 9000)
	for _, id := range []string{"", "~0", "5", "7~2", "a%7Eb", "ABCDEFGHIJKLMNOPQRSTUVWXYZ-5", "~ABCDEFGHIJKLMNOPQRSTUVWXYZ-5", "%", "é", long, strings.Repeat("~", 9000)} {
		t.Run(id[:min(len(id), 30)], func(t *testing.T) {
			onBothWith(t, "drain: {delay: 0s, grace: 0s}", "methods: [GET, POST]", func(t *testing.T, w *world) {
				drained(t, w)
				for _, method := range []string{http.MethodGet, http.MethodPost} {
					c := w.listen("/feed", ssetest.Options{Method: method, LastEventID: id})
					endedWell(t, c)
					expect(t, c, "open retry:drain")
					seen := c.Snapshot()
					want := map[string]string{"": "~0", "~0": "~0", "é": "%C3%A9"}[id]
					if want == "" && len(id) < 100 && id != "%" {
						want = id
					}
					if want != "" && seen.LastEventID != want || len(seen.LastEventID) > 4096 {
						t.Errorf("the id %q became %q", id, seen.LastEventID)
					}
				}
				if got := w.do(http.MethodGet, "/feed", "", "Prefer", "status", "Last-Event-ID", id); got.Status != http.StatusServiceUnavailable {
					t.Errorf("with Prefer: status the answer is %d", got.Status)
				}
				w.noRPC()
			})
		})
	}
	t.Run("without ids", func(t *testing.T) {
		inWorld(t, "drain: {delay: 0s, grace: 0s}\n"+feedRoute(`event: {id: ""}`), func(t *testing.T, w *world) {
			drained(t, w)
			c := w.listen("/feed", ssetest.Options{NoIDs: true})
			endedWell(t, c)
			expect(t, c, "retry:drain")
		})
	})
	t.Run("a final id", func(t *testing.T) {
		onBothWith(t, "drain: {delay: 0s, grace: 0s}", "methods: [GET, POST]", func(t *testing.T, w *world) {
			drained(t, w)
			if got := w.do(http.MethodGet, "/feed", "", "Last-Event-ID", sse.FinalID("5")); got.Status != http.StatusNoContent {
				t.Errorf("answered %d", got.Status)
			}
			c := w.listen("/feed", ssetest.Options{Method: http.MethodPost, LastEventID: sse.FinalID("5")})
			endedWell(t, c)
			expect(t, c, "open end")
		})
	})
}

func TestDrainCutsStreamsWhenItsContextEnds(t *testing.T) {
	inWorld(t, "drain: {delay: 5s, grace: 20s}\n"+feedRoute("retry: 3s"), func(t *testing.T, w *world) {
		rpc, end := w.listenStuck()
		fine := w.listen("/feed", ssetest.Options{})
		rpc.flood()
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		began := time.Now()
		if err := w.Bridge.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 15*time.Second {
			t.Errorf("Drain returned %v after %v", err, time.Since(began))
		}
		synctest.Wait()
		if fine.Snapshot().Ended == nil {
			t.Error("a stream outlived Drain")
		}
		if err := end(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the stuck stream ended with %v", err)
		}
	})
}

// Stuck clients are cut after a second, RPCs are cancelled, and later clients are asked to reconnect.
func TestCloseAsksClientsToReconnect(t *testing.T) {
	inWorld(t, feedRoute("retry: 3s"), func(t *testing.T, w *world) {
		rpc, end := w.listenStuck()
		fine := w.listen("/feed", ssetest.Options{})
		rpc.flood()
		began := time.Now()
		if err := w.Bridge.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("Close took %v, want the second that a stuck client has", took)
		}
		<-rpc.Gone
		endedWell(t, fine)
		if seen := story(fine.Snapshot()); !strings.HasSuffix(seen, " 1 retry:drain") {
			t.Errorf("the client saw %s", seen)
		}
		late := w.listen("/feed", ssetest.Options{LastEventID: fine.Snapshot().LastEventID})
		endedWell(t, late)
		expect(t, late, "open retry:drain")
		if err := end(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the stuck stream ended with %v", err)
		}
		if code, _ := probe(w.Bridge.Admin(), "/readyz"); code != http.StatusServiceUnavailable {
			t.Errorf("/readyz says %d after Close", code)
		}
	})
}

func TestCloseEndsRequestsThatWait(t *testing.T) {
	inWorld(t, feedRoute("open_grace: 60s"), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		if err := w.Bridge.Close(); err != nil {
			t.Error(err)
		}
		<-rpc.Gone
		endedWell(t, c)
		expect(t, c, "open retry:drain")
	})
}

// They keep their ids. Idle topics are evicted first.
func TestClientsOverLimitsTopicsAreShed(t *testing.T) {
	onBothWith(t, "limits: {topics: 2}", "request: {query: true}", func(t *testing.T, w *world) {
		one := w.listen("/feed?topic=1", ssetest.Options{})
		w.rpc().accept()
		two := w.listen("/feed?topic=2", ssetest.Options{})
		rpc := w.rpc()
		rpc.accept()
		expect(t, two, "open")

		fresh := w.listen("/feed?topic=3", ssetest.Options{})
		endedWell(t, fresh)
		expect(t, fresh, "open retry:shed")
		if seen := fresh.Snapshot(); seen.LastEventID != "~0" || seen.Retry < 10*time.Second || seen.Retry > time.Minute {
			t.Errorf("the client was sent %s", seen)
		}
		placed := w.listen("/feed?topic=3", ssetest.Options{LastEventID: "ABCDEFGHIJKLMNOPQRSTUVWXYZ-5"})
		endedWell(t, placed)
		expect(t, placed, "open retry:shed")
		if id := placed.Snapshot().LastEventID; id != "ABCDEFGHIJKLMNOPQRSTUVWXYZ-5" {
			t.Errorf("the client's id became %q", id)
		}
		if got := w.do(http.MethodGet, "/feed?topic=3", "", "Prefer", "status"); got.Status != http.StatusServiceUnavailable {
			t.Errorf("with Prefer: status the answer is %d", got.Status)
		}
		w.noRPC()
		shared := w.listen("/feed?topic=2", ssetest.Options{}) // joins the topic
		expect(t, shared, "open")

		shared.Close()
		two.Close()
		synctest.Wait()
		fresh.Reconnect()
		w.rpc().count(1, 1)
		expect(t, fresh, "open retry:shed open 1")
		<-rpc.Gone // the idle topic was evicted
		expect(t, one, "open")
	})
}

// A stuck stream is cut a second after drain.grace, whatever its write_timeout.
func TestDrainDoesNotWaitForStalledClients(t *testing.T) {
	inWorld(t, "drain: {delay: 5s, grace: 10s}\n"+feedRoute("write_timeout: 1m"), func(t *testing.T, w *world) {
		rpc, end := w.listenStuck()
		rpc.flood()
		began := time.Now()
		if err := w.Bridge.Drain(t.Context()); err != nil || time.Since(began) != 16*time.Second {
			t.Errorf("Drain returned %v after %v", err, time.Since(began))
		}
		if err := end(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the stuck stream ended with %v", err)
		}
	})
}
