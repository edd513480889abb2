package serve

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// Leaving is the end of a bridge, from the moment when it begins to ask its clients to
// reconnect. Its methods are safe for concurrent use.
type Leaving struct {
	born     time.Time
	notify   func() // nil: nothing
	once     sync.Once
	begun    atomic.Bool
	begins   chan struct{} // closed when it begins
	over     atomic.Int64  // when all clients will have been asked, since born
	draining atomic.Bool   // not ready any more
}

// NewLeaving makes the end of a bridge that was made at born. notify is called once, when it
// begins; it may be nil.
func NewLeaving(born time.Time, notify func()) *Leaving {
	return &Leaving{born: born, notify: notify, begins: make(chan struct{})}
}

// Drain notes that the bridge is not ready any more.
func (l *Leaving) Drain() { l.draining.Store(true) }

// Draining reports whether the bridge is not ready any more.
func (l *Leaving) Draining() bool { return l.draining.Load() }

// Begin has new clients asked to reconnect, too. Over grace all are asked.
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

// Begun reports whether clients are asked to reconnect.
func (l *Leaving) Begun() bool { return l.begun.Load() }

// Beginning returns a channel that is closed when clients begin to be asked.
func (l *Leaving) Beginning() <-chan struct{} { return l.begins }

// afterRestart returns the reconnection time of a client that is to find the next process at
// its place. A client that connects too early would wait as long again.
func (l *Leaving) afterRestart() time.Duration {
	left := max(0, time.Duration(l.over.Load())-time.Since(l.born))
	return left + 500*time.Millisecond + rand.N(time.Second)
}

// alone reports whether no other bridge takes the clients of this one.
func (h *Handler) alone() bool { return h.Sites.Current().Config.Drain.Alone }

// afterDrain returns the reconnection time of a client that the drain asks to leave.
func (h *Handler) afterDrain() time.Duration {
	if h.alone() {
		return h.Leaving.afterRestart()
	}
	return soon() // to another bridge
}

// reconnect is a reconnection time for a client that uses an old connection:
// its next one is new.
func reconnect() time.Duration { return rand.N(200 * time.Millisecond) }

// returnedLater returns the reconnection time of a client that has connected to a
// bridge that drains. By an old connection of HTTP/2 it could not reach another
// bridge; by a new one it could, so this bridge seems to be the only one.
func (h *Handler) returnedLater(r *http.Request) time.Duration {
	if !h.alone() && h.reconnects.take(r) {
		return reconnect()
	}
	return h.Leaving.afterRestart()
}

// closeConnection has the connection of an answer that has not begun take no
// further request: by net/http's reading of the header this is GOAWAY on HTTP/2
// (RFC 9113, section 6.8), where streams that run go on.
func closeConnection(w http.ResponseWriter) { w.Header().Set("Connection", "close") }

// reconnects are the connections of HTTP/2 on which a client was asked to connect
// anew, so that a balancer places it. A handler cannot send GOAWAY on the
// connection of a stream that runs. So the next request on the connection is
// answered with it, if the server has not sent it before.
type reconnects struct {
	mu    sync.Mutex
	conns map[string]time.Time // by the peer's address: when a client was asked last
	swept time.Time
}

const (
	// reconnectsWithin is how long a client that was asked may take to come back.
	reconnectsWithin = time.Minute
	// maxReconnects bounds the memory for clients that do not come back.
	maxReconnects = 1 << 16
)

// add notes the connection of a client that was asked to connect anew.
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

// take reports whether a request uses a connection whose client was asked to
// connect anew. It is true once.
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

// elsewhere reports whether a client that was asked to leave is to be placed
// anew by its balancer. A trusted proxy does that for each request, as long as
// it may choose this bridge.
func elsewhere(why reason.Leave, forwarded bool) bool {
	return why == reason.LeaveDrain || why == reason.LeaveMaxAge && !forwarded
}
