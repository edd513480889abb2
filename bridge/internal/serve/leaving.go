package serve

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// Leaving is the state of a bridge that drains: first it is not ready any more, and later it
// asks its clients to reconnect. Its methods are safe for concurrent use.
type Leaving struct {
	born     time.Time
	notify   func() // may be nil
	once     sync.Once
	begun    atomic.Bool
	begins   chan struct{} // closed by Begin
	over     atomic.Int64  // when all clients will have been asked, as time since born
	draining atomic.Bool   // the bridge is not ready any more
}

// NewLeaving returns the Leaving of a bridge that was made at born. Begin calls notify once;
// it may be nil.
func NewLeaving(born time.Time, notify func()) *Leaving {
	return &Leaving{born: born, notify: notify, begins: make(chan struct{})}
}

// Drain notes that the bridge is not ready any more.
func (l *Leaving) Drain() { l.draining.Store(true) }

// Draining reports whether the bridge is not ready any more.
func (l *Leaving) Draining() bool { return l.draining.Load() }

// Begin makes the bridge ask new clients to reconnect at once. The present ones are asked
// over grace.
func (l *Leaving) Begin(grace time.Duration) {
	l.over.Store(int64(time.Since(l.born) + grace))
	l.begun.Store(true)
	l.once.Do(func() {
		close(l.begins)
		if l.notify != nil {
			l.notify()
		}
	})
}

// Begun reports whether Begin has been called.
func (l *Leaving) Begun() bool { return l.begun.Load() }

// Beginning returns a channel that Begin closes.
func (l *Leaving) Beginning() <-chan struct{} { return l.begins }

// afterRestart returns the reconnection time of a client that should find the next process at
// this address. A client that connects too early has to wait for as long again.
func (l *Leaving) afterRestart() time.Duration {
	left := max(0, time.Duration(l.over.Load())-time.Since(l.born))
	return left + 500*time.Millisecond + rand.N(time.Second)
}

// alone reports whether no other bridge can serve the clients of this one.
func (h *Handler) alone() bool { return h.Sites.Current().Config.Drain.Alone }

// afterDrain returns the reconnection time of a client that a drain asks to reconnect.
func (h *Handler) afterDrain() time.Duration {
	if h.alone() {
		return h.Leaving.afterRestart()
	}
	return soon() // to another bridge
}

// reconnect returns the reconnection time of a client on an old connection: the bridge has
// sent GOAWAY, so that the next connection is new.
func reconnect() time.Duration { return rand.N(200 * time.Millisecond) }

// whileDraining returns the reconnection time of a client that has connected to a bridge that
// drains. On an old HTTP/2 connection the client could not reach another bridge. On a new one
// it could, so this bridge seems to be the only one.
func (h *Handler) whileDraining(r *http.Request) time.Duration {
	if !h.alone() && h.reconnects.take(r) {
		return reconnect()
	}
	return h.Leaving.afterRestart()
}

// closeConnection makes the answer's connection take no further request; the answer must not
// have begun. On HTTP/2 net/http sends GOAWAY for this header (RFC 9113, section 6.8), and
// running streams continue.
func closeConnection(w http.ResponseWriter) { w.Header().Set("Connection", "close") }

// reconnects has the HTTP/2 connections on which a client was asked to reconnect, so that a
// balancer chooses its bridge. The client should use a new connection, but a handler cannot
// send GOAWAY for a running stream. So the next request on the connection is answered with
// GOAWAY, if the server has not sent it before.
type reconnects struct {
	mu    sync.Mutex
	conns map[string]time.Time // when a client was last asked, by the peer's address
	swept time.Time
}

const (
	// reconnectsWithin is the time within which a client is expected to reconnect.
	reconnectsWithin = time.Minute
	// maxReconnects bounds the memory of clients that do not reconnect.
	maxReconnects = 1 << 16
)

// add adds the connection of a client that was asked to reconnect.
func (c *reconnects) add(remote string) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conns == nil {
		c.conns = map[string]time.Time{}
	}
	if now.Sub(c.swept) > reconnectsWithin {
		for conn, asked := range c.conns {
			if now.Sub(asked) > reconnectsWithin {
				delete(c.conns, conn)
			}
		}
		c.swept = now
	}
	if len(c.conns) < maxReconnects {
		c.conns[remote] = now
	}
}

// take removes the connection of a request, and reports whether it was there.
func (c *reconnects) take(r *http.Request) bool {
	if r.ProtoMajor < 2 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	asked, known := c.conns[r.RemoteAddr]
	delete(c.conns, r.RemoteAddr)
	return known && time.Since(asked) <= reconnectsWithin
}

// wantsNewConnection reports whether a client that was asked to leave should reconnect by a
// new connection, for a balancer to choose its bridge. After max_age a client behind a
// trusted proxy need not, because the proxy chooses a bridge for each request.
func wantsNewConnection(why reason.Leave, forwarded bool) bool {
	return why == reason.LeaveDrain || why == reason.LeaveMaxAge && !forwarded
}
