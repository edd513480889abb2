package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

const epoch = "4SXOXVGCNRLZYBTTTIHFCXQZKY"

func open(id string) string { return "retry: 1\nid: " + id + "\nevent: stream-open\ndata: {}\n\n" }

func message(id, place string) string {
	return "id: " + id + "\ndata: {\"note\":{\"text\":\"" + place + "\"}}\n\n"
}

func gapped(reason, last, id string) string {
	return "id: " + id + "\nevent: stream-gap\ndata: {\"reason\":\"" + reason + "\",\"lastEventId\":\"" + last + "\",\"resumedFrom\":\"" + id + "\"}\n\n"
}

func retry(reason string) string {
	return "retry: 1\nevent: stream-retry\ndata: {\"reason\":\"" + reason + "\"}\n\n"
}

// TestWatcherNotices: a client that overlooks something makes every soak pass.
func TestWatcherNotices(t *testing.T) {
	for _, c := range []struct {
		name, kind string
		moves      bool     // each connection comes to another bridge
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
		{name: "a gap with an excuse", kind: "positions", responses: []string{open(epoch+"-3") + message(epoch+"-4", "9") + gapped("upstream", epoch+"-4", epoch+"-5") + message(epoch+"-6", "12")}},
		{name: "a gap without", kind: "positions", responses: []string{open(epoch+"-3") + gapped("expired", epoch+"-3", epoch+"-5")}, failures: 1, word: "excuses"},
		{name: "a gap on a cursor route", kind: "exclusive", responses: []string{open("4") + message("5", "5"), "retry: 1\n" + gapped("restarted", "5", "~"+epoch+"-0")}, failures: 1, word: "excuses"},
		{name: "a gap before any cursor", kind: "exclusive", responses: []string{open("~" + epoch + "-0"), "retry: 1\n" + gapped("upstream", "~"+epoch+"-0", "~"+epoch+"-0")}},
		{name: "expired before any cursor", kind: "exclusive", responses: []string{open("~" + epoch + "-0"), "retry: 1\n" + gapped("expired", "~"+epoch+"-0", "9") + message("10", "10")}},
		{name: "expired at a cursor", kind: "exclusive", responses: []string{open("4"), "retry: 1\n" + gapped("expired", "4", "9")}, failures: 1, word: "excuses"},
		{name: "messages again behind a gap", kind: "positions", responses: []string{open(epoch+"-3") + message(epoch+"-4", "9") + gapped("upstream", epoch+"-4", epoch+"-5") + message(epoch+"-6", "9")}, failures: 1, word: "and 9 before it"},
		{name: "a gap that goes on elsewhere", kind: "ids", responses: []string{open("3") + gapped("upstream", "3", "5") + message("7", "7")}, lost: 1, failures: 1, word: "place 7 came"},
		{name: "a gap for another client", kind: "ids", responses: []string{open("3") + gapped("upstream", "2", "~"+epoch+"-5")}, failures: 1, word: "to a client that stands"},
		{name: "restarted where nothing was", kind: "ids", responses: []string{open("3"), "retry: 1\n" + gapped("restarted", "3", "8")}, failures: 1, word: "excuses"},
		{name: "restarted at another bridge", kind: "ids", moves: true, responses: []string{open("3"), "retry: 1\n" + gapped("restarted", "3", "8") + message("9", "9")}},
		{name: "restarted, in a log with a gap", kind: "ids", moves: true, responses: []string{
			open("3") + message("4", "4"),
			"retry: 1\n" + gapped("restarted", "4", "~"+epoch+"-4") + gapped("upstream", "~"+epoch+"-4", "~"+epoch+"-5") + message("2", "2"),
		}},
		{name: "lagged", kind: "skip", responses: []string{open("4") + message("5", "5") + gapped("lagged", "5", "9") + message("10", "10")}},
		{name: "lagged in a log that has not moved on", kind: "skip", responses: []string{open("3700") + gapped("lagged", "3700", "3702") + message("3703", "3703")}, failures: 1, word: "still held"},
		{name: "lagged and back", kind: "skip", responses: []string{open("4") + message("5", "5") + gapped("lagged", "5", "3") + message("4", "4")}, failures: 1, word: "and 5 before it"},
		{name: "asked to leave instead of skipping", kind: "skip", responses: []string{open("4") + retry("lagged")}, failures: 1, word: "lagged"},
		{name: "asked to leave", kind: "disconnect", responses: []string{open("4") + retry("lagged"), open("4") + message("5", "5")}},
		{name: "fallen out", kind: "disconnectids", responses: []string{open("4") + retry("lagged"), "retry: 1\n" + gapped("expired", "4", "9") + message("10", "10")}},
		{name: "trimmed", kind: "trimmed", responses: []string{open("4"), open("4") + gapped("expired", "4", "~"+epoch+"-1") + message("3600", "3600")}},
		{name: "trimmed, and then fallen out", kind: "trimmed", responses: []string{open("4"), open("4") + gapped("expired", "4", "~"+epoch+"-1"), "retry: 1\n" + gapped("expired", "~"+epoch+"-1", "3599") + message("3600", "3600")}},
		{name: "not trimmed", kind: "trimmed", responses: []string{open("3590"), open("3590") + gapped("expired", "3590", "~"+epoch+"-1")}, failures: 1, word: "excuses"},
		{name: "a message without a place", kind: "hello", responses: []string{open("4") + message("4~1", "hello") + message("5", "5")}},
		{name: "an end", kind: "exclusive", responses: []string{open("4") + "id: 4~K4Q~end\nevent: stream-end\ndata: {}\n\n"}, failures: 1, word: "stream-end"},
		{name: "a breach of the wire contract", kind: "exclusive", responses: []string{open("4") + "data: {}\n\n"}, failures: 1, word: "same block"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, told := watch(t, c.kind, c.moves, c.responses)
			if got.lost != c.lost || got.doubled != c.doubled || got.failures != c.failures {
				t.Errorf("lost %d, doubled %d, failures %d; want %d, %d, %d: %q", got.lost, got.doubled, got.failures, c.lost, c.doubled, c.failures, told)
			}
			if c.failures > 0 && (len(told) == 0 || !strings.Contains(told[0], c.word)) {
				t.Errorf("told %q, which does not say %q", told, c.word)
			}
		})
	}
}

// place is where a server is.
type place struct {
	at    string
	moves bool
	asked int
}

func (p *place) address() string { return p.at }

// behind is asked before and after each connection.
func (p *place) behind() string {
	if p.moves {
		p.asked++
	}
	return strconv.Itoa((p.asked + 1) / 2)
}

// watch has a client read responses, each cut at its end.
func watch(t *testing.T, name string, moves bool, responses []string) (counts, []string) {
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
	at := &place{at: strings.TrimPrefix(server.URL, "http://"), moves: moves}
	w := watcher{
		kind: k, doors: []door{at}, path: "/", tally: seen, stays: true, random: rand.New(rand.NewPCG(1, 1)),
		mood: &mood{lasts: time.Second, every: time.Second}, history: history{time.Now().Add(-time.Hour), time.Second},
		http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
	w.run(ctx)
	return seen.now()
}
