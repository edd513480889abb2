package bridge_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// pipes is a listener whose connections are in memory. They are net.Pipe's and not bufconn's, which
// creates timers that fire at once: two of them at the same moment in one synctest bubble crash the
// race detector of Go 1.26, because the timers of a bubble share its context there.
type pipes struct {
	dialled chan net.Conn // taken by Accept; never closed
	once    sync.Once
	refuse  atomic.Bool // Dial fails
	closed  chan struct{}
}

var errRefused = errors.New("connection refused")

func listenInMemory() *pipes {
	return &pipes{dialled: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept waits for the next connection.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.dialled:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Dial makes a connection. A write to it blocks until it is read.
func (p *pipes) Dial(ctx context.Context) (net.Conn, error) {
	if p.refuse.Load() {
		return nil, errRefused
	}
	here, there := net.Pipe()
	select {
	case p.dialled <- there:
		return here, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close ends Accept and Dial.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr implements net.Listener.
func (p *pipes) Addr() net.Addr { return memory{} }

type memory struct{}

func (memory) Network() string { return "memory" }
func (memory) String() string  { return "memory" }
