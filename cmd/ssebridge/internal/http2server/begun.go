package http2server

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// begun is a connection on which HTTP/2 has begun.
//
// It ends itself when it has been idle for long. HTTP/2's own timer for that is set again
// when a connection ends that carries streams, as those of event streams do, and keeps all
// that there was of it until it fires: minutes later, some 7 KiB each.
type begun struct {
	net.Conn

	sent     []byte                         // read before HTTP/2 began
	patience time.Duration                  // with an idle connection; 0 is for ever
	states   func(net.Conn, http.ConnState) // nil: none is told
	pause    func() time.Duration           // before each read; nil: none
	received int                            // bytes, counted up to beginning

	mu     sync.Mutex
	timer  *time.Timer // nil while it has not been idle
	since  time.Time   // it has been idle; zero: it is not
	told   bool        // that it is about to be closed
	ended  bool
	closed bool
	paused *time.Timer // ends the pause of a read; nil: none pauses
}

// secured is a connection by TLS. HTTP/2 asks for its ConnectionState: to check the version
// and the cipher suite (RFC 9113, section 9.2), and for [http.Request.TLS].
type secured struct {
	*begun

	tls *tls.Conn
}

// ConnectionState returns the state of TLS.
func (s secured) ConnectionState() tls.ConnectionState { return s.tls.ConnectionState() }

const (
	// longestPause bounds the pause before a read.
	longestPause = 2 * time.Second
	// beginning is enough bytes for a connection's preface and SETTINGS. HTTP/2 waits 2 s for
	// SETTINGS, so they are read without a pause once the first byte is.
	beginning = 128
)

// Read returns the bytes that the client sent, from the beginning, after the pause that is
// due. One goroutine calls it.
func (c *begun) Read(p []byte) (int, error) {
	if c.pause != nil && (c.received == 0 || c.received >= beginning) {
		c.wait(c.pause())
	}
	n, err := c.read(p)
	c.received = min(c.received+n, beginning)

	return n, err
}

func (c *begun) read(p []byte) (int, error) {
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

// wait returns after d or longestPause, or when the connection is closed.
func (c *begun) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(min(d, longestPause))
	if c.setPaused(timer) {
		<-timer.C
	}
	c.setPaused(nil)
}

// setPaused reports whether the connection is open, and has Close end the timer.
func (c *begun) setPaused(timer *time.Timer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = timer

	return !c.closed
}

// Close closes the connection, and ends the pause of a read.
func (c *begun) Close() error {
	c.mu.Lock()
	c.closed = true
	if c.paused != nil {
		c.paused.Reset(0)
	}
	c.mu.Unlock()

	return c.Conn.Close()
}

// stand notes whether a connection is idle. HTTP/2 calls it with StateActive before it
// serves the first of a connection's streams.
func stand(conn net.Conn, state http.ConnState) {
	if c, ok := conn.(interface{ stand(state http.ConnState) }); ok {
		c.stand(state)
	}
}

func (c *begun) stand(state http.ConnState) {
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
			c.timer = time.AfterFunc(c.remaining(), c.tired)
		} else {
			c.timer.Reset(c.remaining())
		}
	}
}

// lastCall is how long a client may take to hear that its idle connection is about to be
// closed: what it has sent before that is still served.
const lastCall = time.Second

// remaining is how long the connection may be idle from now on.
func (c *begun) remaining() time.Duration {
	if c.told {
		return lastCall
	}

	return c.patience
}

// tired ends a connection that has been idle for long. It tells the client first, and
// closes the connection lastCall later (RFC 9113, section 6.8).
func (c *begun) tired() {
	if c.isOver() {
		_ = c.Close() // which its reader sees
	}
}

// isOver reports whether the connection is idle and its client knows that it is to be
// closed, or cannot be told.
func (c *begun) isOver() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.since.IsZero() || time.Since(c.since) < c.remaining() {
		return false // it has been in use meanwhile
	}
	if c.told || c.sayGoodbye() != nil {
		return true
	}
	c.told, c.since = true, time.Now()
	c.timer.Reset(lastCall)

	return false
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

// end closes the connection, and stops its timer, which would keep its memory.
func (c *begun) end() {
	_ = c.Close() // most are closed by now
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.timer != nil {
		c.timer.Stop()
	}
}
