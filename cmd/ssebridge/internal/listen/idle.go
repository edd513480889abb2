package listen

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

const (
	// looksPerIdle is how often idle connections are looked for while one becomes idle for
	// too long.
	looksPerIdle = 32
	// lastCall is how long a client of HTTP/2 may take to learn that its idle connection is
	// about to be closed. What it sends meanwhile is still served.
	lastCall = time.Second
)

// expire ends the connections that have been without a request for that long, until the
// listener ends.
func (l *Proxied) expire(patience time.Duration) {
	each := time.NewTicker(patience / looksPerIdle)
	defer each.Stop()
	for {
		select {
		case <-each.C:
			for _, idle := range l.waiting.expired(patience) {
				l.all.Go(func() { l.endIdle(idle) })
			}
		case <-l.stopped:
			return
		}
	}
}

// endIdle closes an idle connection. A client of HTTP/2 is told first (RFC 9113, section 6.8).
func (l *Proxied) endIdle(idle expiring) {
	if idle.tell && sayGoodbye(idle.served) == nil {
		l.wait(context.Background(), lastCall)
	}
	if l.waiting.end(idle) {
		_ = idle.served.Close() // nothing is to be written
	}
}

// expiring is a connection that has been idle for too long.
type expiring struct {
	conn   *Conn
	served net.Conn // what net/http serves: the connection, or TLS over it
	tell   bool     // its client is to be told before it is closed
}

// expired returns the connections that have waited for that long. Those whose clients are
// just being told are left out.
func (w *waiters) expired(patience time.Duration) (all []expiring) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for _, peer := range w.peers {
		for e := peer.Front(); e != nil; e = e.Next() {
			c, ok := e.Value.(*waiter)
			if !ok || now.Sub(c.since) < patience {
				break // the others have waited for less
			}
			switch {
			case c.served == nil: // it has come just now
			case c.http2 && c.told.IsZero():
				c.told = now
				all = append(all, expiring{c.conn, c.served, true})
			case now.Sub(c.told) > lastCall: // also where none is told
				all = append(all, expiring{c.conn, c.served, false})
			}
		}
	}
	return all
}

// end forgets a connection that waits. It reports false where the connection has been in
// use since its client was told: the end of an answer may be on its way.
func (w *waiters) end(idle expiring) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.conns[idle.conn]
	if c == nil || c.place == nil || idle.tell && c.since.After(c.told) {
		return false
	}
	w.forget(c)
	return true
}

// goAway is a frame of that type which rules no stream out, for no error.
const goAway = "\x00\x00\x08\x07\x00\x00\x00\x00\x00" + "\x7f\xff\xff\xff" + "\x00\x00\x00\x00"

// sayGoodbye tells the client of an idle HTTP/2 connection to use another. net/http writes
// nothing meanwhile but frames that are as small, and are written whole.
func sayGoodbye(conn net.Conn) error {
	err := conn.SetWriteDeadline(time.Now().Add(lastCall))
	if err == nil {
		_, err = io.WriteString(conn, goAway)
	}
	return errors.Join(err, conn.SetWriteDeadline(time.Time{}))
}
