package http2server

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// A connection that pauses is not read, and the client hears of no error.
func TestAPauseHoldsRequestsBack(t *testing.T) {
	bothWays(t, func(t *testing.T, start func(http.Handler, func(*http.Server)) site) {
		const pause = 200 * time.Millisecond
		s := start(newHeld(), nil)
		var paused atomic.Bool
		s.Pause = func(ctx context.Context) time.Duration {
			if who := ctx.Value(whoKey{}); who != "somebody" {
				t.Errorf("the context is of %v", who)
			}
			if paused.Load() {
				return pause
			}

			return 0
		}
		c := client(t, true)
		text(t, get(t, c, s.url("/now")))
		text(t, get(t, c, s.url("/now"))) // by then the beginning of the connection is over
		paused.Store(true)
		began := time.Now()
		text(t, get(t, c, s.url("/now")))
		if took := time.Since(began); took < pause {
			t.Errorf("the answer took %v", took)
		}
	})
}

// reading returns a connection on which a read has begun that is to pause for an hour, and
// the read's result.
func reading(t *testing.T, received int) (*begun, <-chan error) {
	t.Helper()
	here, there := net.Pipe()
	t.Cleanup(func() { _ = there.Close() })
	go func() { _, _ = there.Write([]byte{0}) }() // until it is read, or closed
	c := &begun{Conn: here, received: received, pause: func() time.Duration { return time.Hour }}
	t.Cleanup(func() { _ = c.Close() })
	done := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		done <- err
	}()

	return c, done
}

func TestAPauseTakesTwoSecondsAtMost(t *testing.T) {
	for received, want := range map[int]time.Duration{0: longestPause, 1: 0, beginning - 1: 0, beginning: longestPause} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			_, result := reading(t, received)
			if err := <-result; err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took != want {
				t.Errorf("a read after %d bytes took %v, want %v", received, took, want)
			}
		})
	}
}

func TestAPauseEndsWhenTheConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c, result := reading(t, beginning)
		synctest.Wait() // until it pauses
		select {
		case err := <-result:
			t.Fatalf("it did not pause: %v", err)
		default:
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-result; !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("got %v", err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("after that: %v", err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

// HTTP/2 closes a connection whose SETTINGS do not come within 2 s of its preface.
func TestAConnectionThatAlwaysPausesIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(&http.Server{Handler: newHeld(), ErrorLog: log.New(t.Output(), "", 0)})
		s.Pause = func(context.Context) time.Duration { return time.Hour }
		here, there := net.Pipe()
		go func() { _, _ = there.Write(opened(t, "/now")) }()
		began := time.Now()
		if !s.take(t.Context(), s.begin(t.Context(), here, nil)) {
			t.Fatal("it is not served")
		}
		framer := http2.NewFramer(io.Discard, there)
		for answered := false; !answered; {
			frame, err := framer.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			answered = frame.Header().Type == http2.FrameData
		}
		if took := time.Since(began); took != longestPause {
			t.Errorf("the answer took %v, want the pause before the preface alone", took)
		}
		if err := there.Close(); err != nil {
			t.Error(err)
		}
		s.serving.Wait()
	})
}
