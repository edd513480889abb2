package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const (
	pageA = "aaaaaaaaaaaaaaaaaaaaaaaa"
	pageB = "bbbbbbbbbbbbbbbbbbbbbbbb"
)

// fakeClock is a time that a test moves.
type fakeClock struct{ at time.Time }

func (f *fakeClock) now() time.Time { return f.at }

// serveCutter serves a cutter before a handler that says what it was asked for and
// then streams until its client is gone.
func serveCutter(t *testing.T) (*httptest.Server, *cutter, *fakeClock) {
	t.Helper()
	clock := &fakeClock{at: time.Unix(1_000_000, 0)}
	c := newCutter()
	c.now = clock.now
	stream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s\n", r.URL.RawQuery, r.RequestURI)
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("the cutter hides what the bridge needs: %v", err)
		}
		<-r.Context().Done()
	})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /demo/cut", c.serveCut)
	mux.Handle("/", c.guard(stream))
	server := httptest.NewUnstartedServer(mux)
	server.Config.ConnContext = connContext
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server, c, clock
}

// stream is a response that is being read.
type stream struct {
	*bufio.Reader
	first string
}

// get opens a stream and reads its first line.
func get(t *testing.T, server *httptest.Server, query string) (*stream, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/s"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := server.Client().Do(request)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	s := &stream{Reader: bufio.NewReader(answer.Body)}
	s.first, err = s.ReadString('\n')
	return s, err
}

func mustGet(t *testing.T, server *httptest.Server, query string) *stream {
	t.Helper()
	s, err := get(t, server, query)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// cut asks for a cut and returns the status.
func cut(t *testing.T, server *httptest.Server, query string) int {
	t.Helper()
	answer, err := server.Client().Post(server.URL+"/demo/cut"+query, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode
}

func TestCutClosesThisPagesConnectionsAndNoOthers(t *testing.T) {
	server, _, clock := serveCutter(t)
	first, second := mustGet(t, server, "?page="+pageA), mustGet(t, server, "?page="+pageA)
	other, stranger := mustGet(t, server, "?page="+pageB), mustGet(t, server, "")

	if status := cut(t, server, "?page="+pageA+"&seconds=3"); status != http.StatusNoContent {
		t.Fatalf("status %d", status)
	}

	for _, s := range []*stream{first, second} {
		if _, err := s.ReadByte(); err == nil || errors.Is(err, io.EOF) {
			t.Fatalf("got %v, want a connection that breaks without an end", err)
		}
	}
	if _, err := get(t, server, "?page="+pageA); err == nil {
		t.Fatal("a page that is cut was answered")
	}
	mustGet(t, server, "?page="+pageB)
	mustGet(t, server, "")

	clock.at = clock.at.Add(3 * time.Second)
	mustGet(t, server, "?page="+pageA)
	server.CloseClientConnections()
	for _, s := range []*stream{other, stranger} { // until now they were whole
		if s.Buffered() != 0 {
			t.Fatal("unexpected bytes")
		}
	}
}

// A status is what ends an EventSource for good, so a page that is cut gets none.
func TestCutAnswersNothing(t *testing.T) {
	server, _, _ := serveCutter(t)
	if status := cut(t, server, "?page="+pageA); status != http.StatusNoContent {
		t.Fatalf("status %d", status)
	}
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "GET /s?page=%s HTTP/1.1\r\nHost: x\r\n\r\n", pageA); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(conn); len(got) != 0 {
		t.Fatalf("answered %q", got)
	}
}

func TestCutTakesThePageOutOfTheQueryAndLeavesTheRest(t *testing.T) {
	server, _, _ := serveCutter(t)
	for query, want := range map[string]string{
		"":                                     " /s\n",
		"?page=" + pageA:                       " /s\n",
		"?a=1&page=" + pageA + "&b=%2F+x":      "a=1&b=%2F+x /s?a=1&b=%2F+x\n",
		"?page=" + pageA + "&page=" + pageB:    "page=" + pageB + " /s?page=" + pageB + "\n",
		"?page=short":                          "page=short /s?page=short\n",
		"?page=" + strings.Repeat("g", 20):     "page=" + strings.Repeat("g", 20) + " /s?page=" + strings.Repeat("g", 20) + "\n",
		"?PAGE=" + pageA:                       "PAGE=" + pageA + " /s?PAGE=" + pageA + "\n",
		"?page=" + pageA + "%0d%0a":            "page=" + pageA + "%0d%0a /s?page=" + pageA + "%0d%0a\n",
		"?last_event_id=x-1~end&page=" + pageA: "last_event_id=x-1~end /s?last_event_id=x-1~end\n",
	} {
		if got := mustGet(t, server, query).first; got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}

func TestCutRefusesBadRequests(t *testing.T) {
	server, _, _ := serveCutter(t)
	for name, query := range map[string]string{
		"no page":       "",
		"a bad page":    "?page=../../etc/passwd",
		"no number":     "?page=" + pageA + "&seconds=x",
		"too short":     "?page=" + pageA + "&seconds=0",
		"negative":      "?page=" + pageA + "&seconds=-1",
		"too long":      "?page=" + pageA + "&seconds=31",
		"out of bounds": "?page=" + pageA + "&seconds=99999999999999999999",
	} {
		t.Run(name, func(t *testing.T) {
			if status := cut(t, server, query); status != http.StatusBadRequest {
				t.Fatalf("status %d, want 400", status)
			}
		})
	}
}

func TestCutForgetsPages(t *testing.T) {
	c := newCutter()
	clock := &fakeClock{at: time.Unix(1_000_000, 0)}
	c.now = clock.now
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	c.begin(pageA, request, nil)
	c.end(pageA, request)
	if len(c.pages) != 0 {
		t.Error("a page without requests is kept")
	}

	for i := range maxPages {
		if _, ok := c.cut(fmt.Sprintf("%024x", i), time.Second); !ok {
			t.Fatalf("page %d was refused", i)
		}
	}
	if _, ok := c.cut(pageA, time.Second); ok {
		t.Error("more pages than the most were taken")
	}
	if !c.begin(pageA, request, nil) {
		t.Error("a page beyond the most does not work")
	}
	clock.at = clock.at.Add(time.Second)
	if _, ok := c.cut(pageA, time.Second); !ok || len(c.pages) != 1 {
		t.Errorf("cuts that are over are kept: %d", len(c.pages))
	}
}
