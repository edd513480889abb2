package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// The requests are spread evenly over the grace.
func TestDrain(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		source := newSource(100).append("1")
		s.serve(source, Policy{})
		var all []*pipeClient
		for range 10 {
			all = append(all, s.connect(t))
		}
		synctest.Wait()
		began := time.Now()
		if err := s.clients.Drain(t.Context(), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 9*time.Second {
			t.Errorf("it took %v", took)
		}
		var times []string
		for _, l := range all {
			l.expectEnd(t, true, "first\n\n1\n\nleave drain\n\n")
			times = append(times, strings.Fields(l.times[len(l.times)-1])[0])
			s.expectEnd(t, reason.EndAsked)
		}
		slices.Sort(times)
		if got := fmt.Sprint(times); got != "[0s 1s 2s 3s 4s 5s 6s 7s 8s 9s]" {
			t.Errorf("asked at %s", got)
		}
		if n := s.clients.Len(); n != 0 {
			t.Errorf("%d clients are left", n)
		}
	})
}

func TestDrainWithoutClients(t *testing.T) {
	var clients Clients
	if err := clients.Drain(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
}

func TestAClientThatComesDuringADrainIsAskedToLeave(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		s.serve(newSource(100).append("1"), Policy{})
		early := s.connect(t)
		other := s.connect(t)
		synctest.Wait()
		drained := make(chan error)
		go func() { drained <- s.clients.Drain(t.Context(), 20*time.Second) }()
		time.Sleep(5 * time.Second)
		s.connect(t).expectEnd(t, true, "first\n\n1\n\nleave drain\n\n")
		if time.Since(early.began) != 5*time.Second {
			t.Error("a client that comes later waits")
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
		early.expectEnd(t, true, "first\n\n1\n\nleave drain\n\n")
		other.expectEnd(t, true, "first\n\n1\n\nleave drain\n\n")
	})
}

// All frames come before the last block: the log may be gone when the client returns.
func TestDrainWritesTheTailFirst(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		source := newSource(100000)
		s.serve(source, Policy{})
		l := s.connect(t)
		synctest.Wait()
		var want strings.Builder
		want.WriteString("first\n\n")
		for i := range 2000 {
			frame := fmt.Sprintf("%d %s", i, strings.Repeat("x", 100))
			source.append(frame)
			want.WriteString(frame + "\n\n")
		}
		if err := s.clients.Drain(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		want.WriteString("leave drain\n\n")
		l.expectEnd(t, true, want.String())
	})
}

func TestDrainReturnsWithItsContext(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		s.serve(newSource(100), Policy{})
		l, other := s.connect(t), s.connect(t)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.clients.Drain(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := s.clients.Len(); n != 1 {
			t.Fatalf("%d clients are left; the first is asked at once", n)
		}
		s.clients.Cut()
		<-l.done
		<-other.done
	})
}

// The response of a waiting client ends with an error, and nothing more is sent.
func TestCut(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		source := newSource(100).append("1")
		s.serve(source, Policy{Heartbeat: time.Second})
		l := s.connect(t)
		synctest.Wait()
		s.clients.Cut()
		l.expectEnd(t, false, "first\n\n1\n\n")
		s.expectEnd(t, reason.EndCut)
		synctest.Wait()
		if n := s.clients.Len(); n != 0 {
			t.Errorf("%d clients are left", n)
		}
	})
}

func TestCutEndsAStuckWrite(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		source := newSource(100).append(strings.Repeat("x", 1<<20))
		s.serve(source, Policy{WriteTimeout: time.Hour})
		s.request(t) // without reading
		time.Sleep(time.Second)
		if n := s.clients.Len(); n != 1 {
			t.Fatalf("%d clients", n)
		}
		s.clients.Cut()
		s.expectEnd(t, reason.EndCut)
		if err := s.clients.Drain(t.Context(), 0); err != nil {
			t.Error(err)
		}
	})
}

// noFlushWriter is a ResponseWriter that cannot flush.
type noFlushWriter struct{ http.ResponseWriter }

// wrapped is the ResponseWriter of a middleware that supports http.ResponseController.
type wrapped struct{ http.ResponseWriter }

// Unwrap returns the wrapped ResponseWriter.
func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestWriterThatCannotFlush(t *testing.T) {
	recorder := httptest.NewRecorder()
	for _, w := range []http.ResponseWriter{noFlushWriter{recorder}, wrapped{noFlushWriter{recorder}}, wrapped{wrapped{noFlushWriter{recorder}}}} {
		var clients Clients
		_, err := clients.Serve(w, request(), &Client{First: []byte("first\n\n")})
		if !errors.Is(err, errNotStreaming) || clients.Len() != 0 {
			t.Error(err)
		}
	}
	if recorder.Body.Len() > 0 || recorder.Flushed {
		t.Error("the response has content")
	}
}

// A missing SetWriteDeadline is ignored.
func TestWriterWithoutDeadlines(t *testing.T) {
	for _, wrap := range []func(http.ResponseWriter) http.ResponseWriter{
		func(w http.ResponseWriter) http.ResponseWriter { return w },
		func(w http.ResponseWriter) http.ResponseWriter { return wrapped{wrapped{w}} },
	} {
		var clients Clients
		source := newSource(100).append("1", "end")
		source.log.Close()
		recorder := httptest.NewRecorder()
		stream, err := clients.Serve(wrap(recorder), request(), &Client{
			Source: source, Blocks: blocks{}, Policy: Policy{WriteTimeout: time.Second}, First: []byte("first\n\n"),
		})
		if err != nil {
			t.Fatal(err)
		}
		end := stream.Run(t.Context())
		if err := clients.Close(); err != nil {
			t.Error(err)
		}
		if got := recorder.Body.String(); end != reason.EndComplete || got != "first\n\n1\n\nend\n\n" || !recorder.Flushed {
			t.Errorf("%q, %s", got, end)
		}
	}
}

func request() *http.Request { return httptest.NewRequest(http.MethodGet, "/", nil) }
