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
	errNoSocket = errors.New("delivery: the connection is no socket of the kernel's")
)

// takeover is what serves the connections that are taken from http.Server. The
// shard starts with the first of them.
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

// mayTakeOver reports whether a request's connection carries nothing but its
// response, in clear.
func mayTakeOver(r *http.Request) bool {
	return r.ProtoMajor == 1 && r.ProtoMinor >= 1 && r.TLS == nil
}

// takeOver takes a connection from http.Server, whose goroutine and buffers go
// when the handler returns. The response's head has been written. The stream is
// nil where the shard has it. taken is false, and all is as it was, where a
// middleware keeps its connection: also one that could be asked to Unwrap, for it
// may be changing what is written.
func (c *Clients) takeOver(w http.ResponseWriter, client *Client) (s *Stream, taken bool) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return nil, false
	}
	conn, buffered, err := hijacker.Hijack()
	if err != nil { // in whatever words a middleware says that it cannot
		return nil, false
	}
	m, err := c.member(conn, client, buffered.Reader.Buffered())
	if err != nil {
		return c.overConn(conn, client), true
	}
	m.session.arrive(Shard)
	client.servedBy(m)
	c.add(m, client.Audience)
	if !m.shard.start(m) {
		m.socket.reset()
		m.session.depart(Shard, reason.EndCut)
		m.done(reason.EndCut)
	}
	return nil, true
}

// member makes a member of a client and its connection, which stays as it is
// where that cannot be.
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
	socket.setUp(client.Policy)
	m := &member{
		session: newSession(client, newForm(client.Gzip, true), clock()),
		shard:   shard, socket: socket, input: input, place: -1, heard: nothing,
	}
	done := client.Done // the client itself is not to be kept twice
	m.done = func(end reason.End) {
		c.remove(m)
		done(end)
	}
	return m, nil
}
