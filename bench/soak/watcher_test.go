package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const epoch = "4SXOXVGCNRLZYBTTTIHFCXQZKY"

func open(id string) string { return "retry: 1\nid: " + id + "\nevent: stream-open\ndata: {}\n\n" }

func message(id, place string) string {
	return "id: " + id + "\ndata: {\"note\":{\"text\":\"" + place + "\"}}\n\n"
}

func gap(reason, id string) string {
	return "id: " + id + "\nevent: stream-gap\ndata: {\"reason\":\"" + reason + "\",\"lastEventId\":\"\",\"resumedFrom\":\"" + id + "\"}\n\n"
}

// TestWatcherNotices: a client that overlooks something makes every soak pass.
func TestWatcherNotices(t *testing.T) {
	for _, c := range []struct {
		name, kind string
		responses  []string // one a connection
		lost       int64
		doubled    int64
		failures   int64
		word       string // in the first failure
	}{
		{name: "nothing", kind: "exclusive", responses: []string{open("4") + message("5", "5") + message("6", "6"), open("6") + message("7", "7")}},
		{name: "a lost message", kind: "exclusive", responses: []string{open("4") + message("5", "5") + message("7", "7")}, lost: 1, failures: 1, word: "place 7 came"},
		{name: "the first is lost", kind: "exclusive", responses: []string{open("4") + message("6", "6")}, lost: 1, failures: 1, word: "place 6 came"},
		{name: "lost between two connections", kind: "exclusive", responses: []string{open("4") + message("5", "5"), open("5") + message("8", "8")}, lost: 2, failures: 1, word: "place 8 came"},
		{name: "a doubled one", kind: "own", responses: []string{open("~0") + message("5", "5"), open("5") + message("5", "5") + message("6", "6")}, doubled: 1, failures: 1, word: "place 5 came"},
		{name: "an open that moves the client", kind: "exclusive", responses: []string{open("4") + message("5", "5"), open("6")}, failures: 1, word: "moved"},
		{name: "an id of another message", kind: "sparse", responses: []string{open("~"+epoch+"-1") + message("8~2", "9")}, failures: 1, word: "names place 10"},
		{name: "ordinals", kind: "sparse", responses: []string{open("~"+epoch+"-1") + message("~"+epoch+"-2", "7") + message("8", "8") + message("8~1", "9")}},
		{name: "groups", kind: "repeats", responses: []string{open("at 1") + message("at 1~1", "6") + message("at 1~2", "7") + message("at 1~3", "8") + message("at 2~1", "9")}},
		{name: "a position left out", kind: "positions", responses: []string{open(epoch+"-3") + message(epoch+"-5", "9")}, failures: 1, word: "follows 3"},
		{name: "a gap with an excuse", kind: "positions", responses: []string{open(epoch+"-3") + message(epoch+"-4", "9") + gap("upstream", epoch+"-5") + message(epoch+"-6", "12")}},
		{name: "a gap without", kind: "positions", responses: []string{open(epoch+"-3") + gap("expired", epoch+"-5")}, failures: 1, word: "excuses"},
		{name: "a gap on a cursor route", kind: "exclusive", responses: []string{open("4") + message("5", "5"), "retry: 1\n" + gap("restarted", "~"+epoch+"-0")}, failures: 1, word: "excuses"},
		{name: "a gap before any cursor", kind: "exclusive", responses: []string{open("~" + epoch + "-0"), "retry: 1\n" + gap("restarted", "~"+epoch+"-0")}},
		{name: "expired before any cursor", kind: "exclusive", responses: []string{open("~" + epoch + "-0"), "retry: 1\n" + gap("expired", "9") + message("10", "10")}},
		{name: "expired at a cursor", kind: "exclusive", responses: []string{open("4"), "retry: 1\n" + gap("expired", "9")}, failures: 1, word: "excuses"},
		{name: "an end", kind: "exclusive", responses: []string{open("4") + "id: 4~end\nevent: stream-end\ndata: {}\n\n"}, failures: 1, word: "stream-end"},
		{name: "a breach of the wire contract", kind: "exclusive", responses: []string{open("4") + "data: {}\n\n"}, failures: 1, word: "same block"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, told := watch(t, c.kind, c.responses)
			if got.lost != c.lost || got.doubled != c.doubled || got.failures != c.failures {
				t.Errorf("lost %d, doubled %d, failures %d; want %d, %d, %d: %q", got.lost, got.doubled, got.failures, c.lost, c.doubled, c.failures, told)
			}
			if c.failures > 0 && (len(told) == 0 || !strings.Contains(told[0], c.word)) {
				t.Errorf("told %q, which does not say %q", told, c.word)
			}
		})
	}
}

// watch has a client read responses, each cut at its end.
func watch(t *testing.T, name string, responses []string) (counts, []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	answered := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if answered == len(responses) {
			cancel()
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-cache, no-store, no-transform")
		w.Header().Set("X-Accel-Buffering", "no")
		_, _ = w.Write([]byte(responses[answered]))
		answered++
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer server.Close()
	k, ok := kindOf(name)
	if !ok {
		t.Fatalf("no kind %q", name)
	}
	seen := &tally{}
	w := watcher{
		kind: k, url: server.URL, tally: seen, stays: true, random: rand.New(rand.NewPCG(1, 1)),
		http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
	w.run(ctx)
	return seen.now()
}
