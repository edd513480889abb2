package bridge

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
)

// leave is the end of a bridge, from the moment when it begins to ask its clients
// to reconnect.
type leave struct {
	once  sync.Once
	begun chan struct{} // closed when it begins
	over  atomic.Int64  // when all clients will have been asked, since Bridge.born
}

// beginLeaving has new clients asked to reconnect, too. Over grace all are asked.
func (b *Bridge) beginLeaving(grace time.Duration) {
	b.leave.over.Store(int64(time.Since(b.born) + grace))
	b.leaving.Store(true)
	b.leave.once.Do(func() {
		close(b.leave.begun)
		if b.opts.Leaving != nil {
			b.opts.Leaving()
		}
	})
}

// errLeaving says that the bridge began to leave while a request waited.
var errLeaving = status.Error(codes.Unavailable, "come back later: "+sse.RetryDrain)

// leaveLeft returns how long clients are still being asked.
func (b *Bridge) leaveLeft() time.Duration {
	return max(0, time.Duration(b.leave.over.Load())-time.Since(b.born))
}

// alone reports whether no other bridge takes the clients of this one.
func (b *Bridge) alone() bool { return b.site.Load().config.Drain.Alone }

// afterRestart returns the reconnection time of a client that is to find the next
// process at its place. A client that connects too early would wait as long again.
func (b *Bridge) afterRestart() time.Duration {
	return b.leaveLeft() + 500*time.Millisecond + rand.N(time.Second)
}

// afterDrain returns the reconnection time of a client that the drain asks to
// leave.
func (b *Bridge) afterDrain() time.Duration {
	if b.alone() {
		return b.afterRestart()
	}
	return atOnce() // to another bridge
}

// reconnect is a reconnection time for a client that uses an old connection:
// its next one is new.
func reconnect() time.Duration { return rand.N(200 * time.Millisecond) }

// returnedLater returns the reconnection time of a client that has connected to a
// bridge that drains. By an old connection of HTTP/2 it could not reach another
// bridge; by a new one it could, so this bridge seems to be the only one.
func (b *Bridge) returnedLater(r *http.Request) time.Duration {
	if !b.alone() && b.asked.take(r) {
		return reconnect()
	}
	return b.afterRestart()
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
func elsewhere(reason delivery.Reason, forwarded bool) bool {
	return reason == delivery.Drain || reason == delivery.MaxAge && !forwarded
}

// forwarded reports whether a trusted proxy speaks for a request's client.
func forwarded(r *http.Request) bool {
	peer, _ := hostAddr(r.RemoteAddr)
	return peer != clientAddr(r)
}
