package h2c

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// begun is a connection whose first bytes have been read.
//
// It ends itself when it has been idle for long. HTTP/2's own timer for that is set again
// when a connection ends that carries streams, as those of event streams do, and keeps all
// that there was of it until it fires: minutes later, some 7 KiB each.
type begun struct {
	net.Conn

	sent     []byte
	patience time.Duration                  // with an idle connection; 0 is for ever
	states   func(net.Conn, http.ConnState) // nil: none is told

	mu    sync.Mutex
	timer *time.Timer // nil while it has not been idle
	since time.Time   // it has been idle; zero: it is not
	told  bool        // that it is about to be closed
	ended bool
}

// Read returns what the client sent, from the beginning. It is called by one goroutine.
func (c *begun) Read(p []byte) (int, error) {
	if len(c.sent) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.sent)
	c.sent = c.sent[n:]
	if len(c.sent) == 0 {
		c.sent = nil // not to be kept as long as the connection
	}

	return n, nil
}

// stand notes whether a connection is idle. It returns before anything of a stream is
// written whose beginning it is told of.
func stand(conn net.Conn, state http.ConnState) {
	c, ok := conn.(*begun)
	if !ok {
		return
	}
	c.tell(state)
	if c.patience <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended:
	case state == http.StateActive:
		c.since = time.Time{}
		if c.timer != nil {
			c.timer.Stop()
		}
	case state == http.StateIdle:
		c.since = time.Now()
		if c.timer == nil {
			c.timer = time.AfterFunc(c.wait(), c.tired)
		} else {
			c.timer.Reset(c.wait())
		}
	}
}

// lastCall is how long a client may take to hear that its idle connection is about to be
// closed: what it has sent before that is still served.
const lastCall = time.Second

// wait is how long the connection may be idle from now on.
func (c *begun) wait() time.Duration {
	if c.told {
		return lastCall
	}

	return c.patience
}

// tired ends a connection that has been idle for long: its client is told, and then it is
// closed (RFC 9113, section 6.8).
func (c *begun) tired() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.since.IsZero() || time.Since(c.since) < c.wait() {
		return // it has been in use meanwhile
	}
	if !c.told && c.sayGoodbye() == nil {
		c.told, c.since = true, time.Now()
		c.timer.Reset(lastCall)

		return
	}
	_ = c.Close() // which its reader sees
}

// goAway is a frame of that type which rules no stream out, for no error.
const goAway = "\x00\x00\x08\x07\x00\x00\x00\x00\x00" + "\x7f\xff\xff\xff" + "\x00\x00\x00\x00"

// sayGoodbye is called while the connection is idle. Others write nothing then but frames
// that are as small, and are written whole.
func (c *begun) sayGoodbye() error {
	err := c.SetWriteDeadline(time.Now().Add(lastCall))
	if err == nil {
		_, err = io.WriteString(c.Conn, goAway)
	}

	return errors.Join(err, c.SetWriteDeadline(time.Time{}))
}

// tell notifies the server of a state.
func (c *begun) tell(state http.ConnState) {
	if c.states != nil {
		c.states(c.Conn, state)
	}
}

// end closes the connection, and keeps nothing waiting for it.
func (c *begun) end() {
	_ = c.Close() // most are closed by now
	c.tell(http.StateClosed)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.timer != nil {
		c.timer.Stop()
	}
}
