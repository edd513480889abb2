package proxy

import (
	"bufio"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/deploy/test/internal/bridgetest"
)

// event is one event of a stream.
type event struct{ id, name, data string }

// listener reads a stream. Its end is the test's, or leave.
type listener struct {
	header http.Header
	lines  *bufio.Scanner
	late   *time.Timer // ends the request when nothing comes
	leave  context.CancelFunc
}

// listen opens a stream, with headers as pairs.
func listen(t testing.TB, url string, headers ...string) *listener {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	t.Cleanup(leave)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	l := &listener{late: time.AfterFunc(bridgetest.Patience, leave), leave: leave}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() }) // it was left, or cut
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s: %s, %s", url, answer.Status, answer.Header.Get("Content-Type"))
	}
	var body io.Reader = answer.Body
	if answer.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(body); err != nil {
			t.Fatal(err)
		}
	}
	l.header, l.lines = answer.Header, bufio.NewScanner(body)
	return l
}

// next is the stream's next event. ok is false when the stream has ended or was cut instead.
func (l *listener) next() (e event, ok bool) {
	l.late.Reset(bridgetest.Patience)
	for l.lines.Scan() {
		field, value, _ := strings.Cut(l.lines.Text(), ": ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data = value
		case "":
			if e.data != "" {
				return e, true
			}
		}
	}
	return event{}, false
}

// want fails the test unless the next event is of that name and has that text in its data.
func (l *listener) want(t testing.TB, name, text string) event {
	t.Helper()
	e, ok := l.next()
	if !ok || e.name != name || !strings.Contains(e.data, text) {
		t.Fatalf("got %+v (%v), want %s with %q", e, l.lines.Err(), name, text)
	}
	return e
}
