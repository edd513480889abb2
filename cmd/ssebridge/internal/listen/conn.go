package listen

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Conn is a connection of a [Proxied] listener. It is the kernel's, with the address of the
// client behind it, and it does not read HTTP/2 faster than that address may send requests.
type Conn struct {
	net.Conn // the kernel's

	client netip.AddrPort             // from the PROXY header; invalid: there was none
	from   origin                     // of the client
	pause  func(origin) time.Duration // how long not to read HTTP/2 from now on

	// The goroutine that reads the connection uses these. net/http has one at a time.
	http2    bool // it is spoken, in clear or inside of TLS
	compared bool // the first bytes have been compared with firstLine
	agreed   bool // the protocol inside of TLS is known
	received int  // bytes of firstLine; with HTTP/2: bytes after it, counted up to beginning
	// cut is set where net/http may have read a part only of something that is not HTTP/2.
	cut bool

	once   sync.Once
	closed chan struct{}
}

const (
	// firstLine begins the preface of HTTP/2 (RFC 9113, section 3.4), and no request of HTTP/1.1.
	firstLine = "PRI * HTTP/2.0"
	// beginning is enough bytes for the rest of the preface and SETTINGS. net/http waits 2 s
	// for SETTINGS, so they are read without a pause once the first byte is.
	beginning = 128
	// soon and restOfGarbage bound what is read of garbage before it is answered.
	soon          = 10 * time.Millisecond
	restOfGarbage = 4 << 10
)

func newConn(conn net.Conn, client netip.AddrPort, from origin, pause func(origin) time.Duration) *Conn {
	return &Conn{Conn: conn, client: client, from: from, pause: pause, closed: make(chan struct{})}
}

// connOf returns the listener's connection of one that net/http serves, which may be by TLS.
func connOf(conn net.Conn) *Conn {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	c, _ := conn.(*Conn) // nil: it is of another listener
	return c
}

// Read reads the connection. HTTP/2 is read after the pause that is due: TCP's flow control
// then slows the client down, without an error.
func (c *Conn) Read(p []byte) (int, error) {
	if c.http2 && (c.received == 0 || c.received >= beginning) {
		c.wait(c.pause(c.from))
	}
	n, err := c.Conn.Read(p)
	switch {
	case !c.compared:
		c.compare(p[:n])
	case c.http2:
		c.received = min(c.received+n, beginning)
	case c.cut:
		c.cut = false
	}
	return n, err
}

// compare compares the first bytes of a connection with the preface of HTTP/2.
func (c *Conn) compare(p []byte) {
	want := firstLine[c.received:]
	n := min(len(p), len(want))
	same := string(p[:n]) == want[:n]
	c.received += n
	switch {
	case !same:
		c.compared, c.cut = true, len(p) <= len(want)
	case c.received == len(firstLine):
		c.compared, c.http2 = true, true
		c.received = min(len(p)-n, beginning)
	}
}

// agree notes the protocol that the client has chosen in the handshake of TLS (ALPN).
// net/http calls it by ConnState, after the preface and before it waits for SETTINGS. It
// takes the pause that is due before the first frame.
func (c *Conn) agree(secured *tls.Conn) {
	if c.agreed {
		return
	}
	c.agreed = true
	if secured.ConnectionState().NegotiatedProtocol == "h2" {
		c.wait(c.pause(c.from))
		c.http2, c.received = true, 1
	}
}

// Write writes to the connection. To look for HTTP/2 net/http reads as much as firstLine and
// no more. Where it answers these bytes at once, because they end a line that is no request
// (as in a PROXY header of an untrusted peer), the kernel would reset the connection for the
// rest that is not read, and the answer would be lost: so the rest is read first.
func (c *Conn) Write(p []byte) (int, error) {
	if c.cut {
		c.cut = false
		if err := c.SetReadDeadline(time.Now().Add(soon)); err == nil {
			_, _ = c.Conn.Read(make([]byte, restOfGarbage)) // net/http closes the connection next
		}
	}
	return c.Conn.Write(p)
}

// wait returns after d, after longestHeld, or when the connection is closed.
func (c *Conn) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(min(d, longestHeld))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.closed:
	}
}

// Close closes the connection, and ends the pause of a read.
func (c *Conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// CloseWrite says that nothing more is written. net/http calls it before it closes a
// connection whose request it has not read to the end.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// response gives the kernel's own connection to a handler that takes it over: the bridge
// takes no other (package delivery).
type response struct{ http.ResponseWriter }

// Unwrap is for [http.ResponseController].
func (r response) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Hijack implements [http.Hijacker].
func (r response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if c, ok := conn.(*Conn); ok {
		conn = c.Conn
	}
	return conn, buffered, err
}
