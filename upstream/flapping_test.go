package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/connectivity"

	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count is how many lines hold text.
func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// hangingUp is the address of a server that greets each client and hangs
// up, and when it has accepted connections.
func hangingUp(t *testing.T) (addr string, accepts <-chan time.Time) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	farewell := serverSays(t, func(f *http2.Framer) error {
		return errors.Join(f.WriteSettings(), f.WriteGoAway(0, http2.ErrCodeNo, nil))
	})
	accepted := make(chan time.Time, 1<<16) // far more than there may be, so that no sender waits
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- time.Now()
			// The peer may be gone already, which is its right. Reading to its
			// end has it read all of the farewell.
			_, _ = conn.Write(farewell)
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return listener.Addr().String(), accepted
}

// Hardening: grpc-go's backoff begins anew with each connection that is up, so
// it is no bound for a backend that accepts and hangs up.
func TestABackendThatHangsUpIsNotFlooded(t *testing.T) {
	for _, scheme := range []string{"", "static:///"} { // dialled by this package, and by grpc-go
		t.Run(scheme, func(t *testing.T) {
			addr, accepts := hangingUp(t)
			var log lines
			// The schema is read by reflection: RPCs too make grpc-go connect.
			u := connect(t, Params{Target: scheme + addr, Logger: log.logger()})
			const n = 5
			var first, last time.Time
			for i := range n {
				select {
				case last = <-accepts:
				case <-within(t).Done():
					t.Fatalf("connected to %d times", i)
				}
				if i == 0 {
					first = last
				}
			}
			// Of each rest, half is not jitter. The one before the last may still
			// last: grpc-go has a connection before it asks whether to wait.
			if least := (1<<(n-2) - 1) * defaultRetryInitial / 2; last.Sub(first) < least {
				t.Errorf("connected to %d times in %v, want no less than %v", n, last.Sub(first), least)
			}
			// Close does not wait for a rest to end.
			closing := time.Now()
			if err := u.Close(); err != nil {
				t.Error(err)
			}
			if took := time.Since(closing); took > defaultRetryMax/3 {
				t.Errorf("closing took %v", took)
			}
			for text, most := range map[string]int{
				"msg=connected": 2, "the connection is lost": 2, "hangs up soon": 1, "cannot connect": 1, "could not be read": 1,
			} {
				if got := log.count(text); got > most {
					t.Errorf("the log says %q %d times, want at most %d:\n%s", text, got, most, log.text.String())
				}
			}
			if log.count("hangs up soon") == 0 {
				t.Errorf("the log does not say what is wrong:\n%s", log.text.String())
			}
		})
	}
}

// rested is how long an attempt to connect waits after a connection that was up
// for lived.
func rested(t *testing.T, p *pool, c *connection, lived time.Duration) time.Duration {
	t.Helper()
	p.limited(c, unlimitedStreams)
	time.Sleep(lived)
	begin := time.Now()
	if err := p.rest(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return time.Since(begin)
}

func TestRestsAreBoundedAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, c := &pool{params: Params{}.withDefaults(), changed: make(chan struct{})}, &connection{endpoint: &endpoint{}}
		if got := rested(t, p, c, time.Hour); got != 0 {
			t.Errorf("after a connection that lived: %v", got)
		}
		for want := defaultRetryInitial; want < 4*defaultRetryMax; want *= 2 {
			want := min(want, defaultRetryMax)
			if got := rested(t, p, c, steadyAfter-1); got < want/2 || got > want {
				t.Errorf("rested %v, want %v to %v", got, want/2, want)
			}
		}
		begin := time.Now()
		if err := p.rest(t.Context(), c); err != nil || time.Since(begin) != 0 {
			t.Errorf("after an attempt that failed, for which grpc-go waits itself: %v, %v", time.Since(begin), err)
		}
		if got := rested(t, p, c, steadyAfter); got != 0 {
			t.Errorf("after a connection that lived again: %v", got)
		}
		if got := rested(t, p, c, 0); got > defaultRetryInitial {
			t.Errorf("rested %v, want %v at most", got, defaultRetryInitial)
		}

		p.limited(c, unlimitedStreams)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.rest(ctx, c); !errors.Is(err, context.Canceled) {
			t.Errorf("rested on, %v", err)
		}
	})
}

// A connection that stays up after it has flapped is logged, too.
func TestTheEndOfFlappingIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		p := &pool{params: Params{Logger: log.logger()}.withDefaults(), changed: make(chan struct{})}
		c := &connection{endpoint: &endpoint{}}
		told := func(want int) {
			t.Helper()
			if got := log.count("msg=connected"); got != want {
				t.Errorf("connected is told %d times, want %d:\n%s", got, want, log.text.String())
			}
		}
		for range 5 {
			p.changedState(c, connectivity.Ready)
			p.changedState(c, connectivity.Idle)
			rested(t, p, c, 0)
		}
		told(2)
		p.changedState(c, connectivity.Ready)
		told(2)
		p.steady(t.Context(), c)
		told(3)
		p.changedState(c, connectivity.Idle)
		if got := log.count("the connection is lost"); got != 3 {
			t.Errorf("lost is told %d times:\n%s", got, log.text.String())
		}
		rested(t, p, c, time.Minute)
		p.changedState(c, connectivity.Ready)
		p.steady(t.Context(), c)
		told(4)
	})
}

// Retry.Max bounds how soon a backend that is back is connected to, however long
// it was away.
func TestABackendThatIsBackIsFoundSoon(t *testing.T) {
	for _, scheme := range []string{"", "static:///"} {
		t.Run(scheme, func(t *testing.T) {
			backend := backendtest.Start(t)
			u := connect(t, Params{Target: scheme + backend.Addr(), Schema: quiet(), Retry: Retry{Initial: 10 * time.Millisecond, Max: 50 * time.Millisecond}})
			awaitConnections(t, u, 1)
			backend.Stop()
			awaitConnections(t, u, 0)
			// By now grpc-go's default would pause for more than a second.
			u.pool.mu.Lock()
			for begin := time.Now(); time.Since(begin) < 2*time.Second; {
				if err := u.pool.waitLocked(within(t)); err != nil {
					t.Error(err)
				}
			}
			u.pool.mu.Unlock()
			backend.Restart()
			back := time.Now()
			awaitConnections(t, u, 1)
			if took := time.Since(back); took > 400*time.Millisecond {
				t.Errorf("found after %v", took)
			}
		})
	}
}
