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

// count returns the number of lines that contain text.
func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// startHangingUp starts a server that greets each client and hangs up. It returns the address, and
// the times of accepted connections.
func startHangingUp(t *testing.T) (addr string, accepts <-chan time.Time) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	farewell := serverBytes(t, func(f *http2.Framer) error {
		return errors.Join(f.WriteSettings(), f.WriteGoAway(0, http2.ErrCodeNo, nil))
	})
	accepted := make(chan time.Time, 1<<16) // large enough that no sender waits
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- time.Now()
			// The peer may be gone already. Reading until its end lets it read all of the farewell.
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

// Hardening: grpc-go's backoff restarts with each connection that comes up, so it does not bound
// reconnects to a backend that accepts and hangs up.
func TestABackendThatHangsUpIsNotFlooded(t *testing.T) {
	for _, scheme := range []string{"", "static:///"} { // dialed by this package, and by grpc-go
		t.Run(scheme, func(t *testing.T) {
			addr, accepts := startHangingUp(t)
			var log lines
			// The schema comes by reflection, whose RPCs also make grpc-go connect.
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
			// Half of each pause is not jitter. The last but one may still run: grpc-go has a
			// connection before it calls the dialer again.
			if least := (1<<(n-2) - 1) * defaultRetryInitial / 2; last.Sub(first) < least {
				t.Errorf("connected to %d times in %v, want no less than %v", n, last.Sub(first), least)
			}
			// Close does not wait for a pause to end.
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
					t.Errorf("%q is logged %d times, want at most %d:\n%s", text, got, most, log.text.String())
				}
			}
			if log.count("hangs up soon") == 0 {
				t.Errorf("the log does not say what is wrong:\n%s", log.text.String())
			}
		})
	}
}

// rested returns how long an attempt to connect waits after a connection that was up for lived.
func rested(t *testing.T, p *pool, c *connection, lived time.Duration) time.Duration {
	t.Helper()
	p.setLimit(c, unlimitedStreams)
	time.Sleep(lived)
	begin := time.Now()
	if err := p.awaitPause(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return time.Since(begin)
}

func TestPausesAreBoundedAndEnd(t *testing.T) {
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
		if err := p.awaitPause(t.Context(), c); err != nil || time.Since(begin) != 0 {
			t.Errorf("after an attempt that failed, for which grpc-go waits itself: %v, %v", time.Since(begin), err)
		}
		if got := rested(t, p, c, steadyAfter); got != 0 {
			t.Errorf("after a connection that lived again: %v", got)
		}
		if got := rested(t, p, c, 0); got > defaultRetryInitial {
			t.Errorf("rested %v, want %v at most", got, defaultRetryInitial)
		}

		p.setLimit(c, unlimitedStreams)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.awaitPause(ctx, c); !errors.Is(err, context.Canceled) {
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
		wantConnected := func(want int) {
			t.Helper()
			if got := log.count("msg=connected"); got != want {
				t.Errorf("connected is logged %d times, want %d:\n%s", got, want, log.text.String())
			}
		}
		for range 5 {
			p.stateChanged(c, connectivity.Ready)
			p.stateChanged(c, connectivity.Idle)
			rested(t, p, c, 0)
		}
		wantConnected(2)
		p.stateChanged(c, connectivity.Ready)
		wantConnected(2)
		p.logSteady(t.Context(), c)
		wantConnected(3)
		p.stateChanged(c, connectivity.Idle)
		if got := log.count("the connection is lost"); got != 3 {
			t.Errorf("the loss is logged %d times:\n%s", got, log.text.String())
		}
		rested(t, p, c, time.Minute)
		p.stateChanged(c, connectivity.Ready)
		p.logSteady(t.Context(), c)
		wantConnected(4)
	})
}

// Retry.Max bounds the time until a backend that is back is connected to, for any length of the
// outage.
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
