package delivery

import (
	"errors"
	"net"
	"net/http"
	"sync"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

var (
	errClosed   = errors.New("delivery: closed")
	errNoSocket = errors.New("delivery: the connection is not a kernel socket")
)

// takeover has the shard, which serves connections that are taken from http.Server. The first such
// connection starts the shard.
type takeover struct {
	mu     sync.Mutex
	shard  *shard
	closed bool
}

func (t *takeover) open() (*shard, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, errClosed
	}
	if t.shard == nil {
		shard, err := newShard()
		if err != nil {
			return nil, err
		}
		t.shard = shard
	}
	return t.shard, nil
}

func (t *takeover) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.shard == nil {
		return nil
	}
	defer func() { t.shard = nil }()
	return t.shard.close()
}

// mayTakeOver reports whether a request came over HTTP/1.1 without TLS. The connection of such a request
// carries nothing else until the response has ended.
func mayTakeOver(r *http.Request) bool {
	return r.ProtoMajor == 1 && r.ProtoMinor >= 1 && r.TLS == nil
}

// takeOver hijacks the connection of a response whose head has been written; http.Server's goroutine and
// buffers are freed when the handler returns. The Stream is nil if the shard serves the client. taken is
// false, and nothing has changed, if w is no http.Hijacker or if Hijack fails. Unwrap is not called to
// find a Hijacker: a writer that wraps another one may change what is written.
func (c *Clients) takeOver(w http.ResponseWriter, client *Client) (s *Stream, taken bool) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return nil, false
	}
	conn, buffered, err := hijacker.Hijack()
	if err != nil { // not only http.ErrNotSupported: middlewares return errors of their own
		return nil, false
	}
	m, err := c.member(conn, client, buffered.Reader.Buffered())
	if err != nil {
		return c.overConn(conn, client), true
	}
	m.session.countArrival(Shard)
	client.servedBy(m)
	c.add(m, client.Audience)
	if !m.shard.start(m) {
		m.socket.reset()
		m.session.countDeparture(Shard, reason.EndCut)
		m.done(reason.EndCut)
	}
	return nil, true
}

// member turns a client and its connection into a member. input is how many bytes the client has sent
// after its request. With an error the connection is unchanged.
func (c *Clients) member(conn net.Conn, client *Client, input int) (*member, error) {
	if !hasSocket(conn) {
		return nil, errNoSocket
	}
	shard, err := c.takeover.open()
	if err != nil {
		return nil, err
	}
	socket, err := takeSocket(conn)
	if err != nil {
		return nil, err
	}
	socket.setOptions(client.Policy)
	m := &member{
		session: newSession(client, newEncoder(client.Gzip, true), clock()),
		shard:   shard, socket: socket, input: input, heapIndex: -1, notices: noNotices,
	}
	done := client.Done // m.done must not hold the client, which is freed when its stream ends
	m.done = func(end reason.End) {
		c.remove(m)
		done(end)
	}
	return m, nil
}
