package upstream

import (
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// grantTimeout bounds how long a message that is being received is counted: a backend that stops
// sending a message must not make others wait.
const grantTimeout = 5 * time.Second

// The parts of HTTP/2 framing that flow control needs (RFC 9113, section 6).
const (
	frameTypeData         = 0x0
	frameTypeHeaders      = 0x1
	frameTypeReset        = 0x3
	frameTypeWindowUpdate = 0x8
	flagEndStream         = 0x1
	windowUpdateLen       = frameHeaderLen + 4
	clientPrefaceLen      = 24
)

// windowConn delays the request for the rest of a large message until an Intake has room for it.
// Once grpc-go has read the length of a message that is longer than a stream's window, it sends a
// WINDOW_UPDATE for the missing bytes. No other WINDOW_UPDATE is as large. Until then the backend
// sends no more than the window.
//
// The message is counted until all of it has arrived, or its stream has ended.
type windowConn struct {
	net.Conn

	intake *Intake

	granting atomic.Bool // granted is not empty: the reader inspects each frame

	mu      sync.Mutex // held during writes; guards the fields below
	preface int        // unwritten bytes of the client's preface
	have    int        // bytes of frame
	frame   [windowUpdateLen]byte
	left    int               // unwritten bytes of the payload
	ready   []byte            // released frames, to be written at the next frame boundary
	out     []byte            // the output of Write; reused
	granted map[uint32]*grant // by stream
	closed  bool

	// Owned by the reader.
	in     [frameHeaderLen]byte
	inHave int
	inLeft int
}

// grant is a large message of one stream.
type grant struct {
	update [windowUpdateLen]byte
	bytes  int64
	// left is the number of bytes still to come. Up to a window of the message may have arrived
	// before the grant, and grpc-go's update covers the whole message.
	left    int64
	counted bool // false while it waits, and after grantTimeout
	late    *time.Timer
}

func newWindowConn(conn net.Conn, intake *Intake) net.Conn {
	if intake == nil {
		return conn
	}
	return &windowConn{Conn: conn, intake: intake, preface: clientPrefaceLen, granted: map[uint32]*grant{}}
}

// Write writes whole frames, except for delayed ones.
func (c *windowConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = c.out[:0]
	for rest := p; len(rest) > 0; {
		switch {
		case c.preface > 0:
			rest = c.pass(rest, &c.preface)
		case c.left > 0:
			rest = c.pass(rest, &c.left)
		default:
			rest = c.observeFrame(rest)
		}
	}
	if c.have == 0 && c.left == 0 && c.preface == 0 && len(c.ready) > 0 {
		c.out = append(c.out, c.ready...)
		c.ready = nil
	}
	if len(c.out) > 0 {
		if _, err := c.Conn.Write(c.out); err != nil {
			return 0, err
		}
	}
	if cap(c.out) > 64<<10 {
		c.out = nil
	}
	return len(p), nil
}

// pass copies bytes that need no inspection.
func (c *windowConn) pass(p []byte, left *int) []byte {
	n := min(len(p), *left)
	c.out = append(c.out, p[:n]...)
	*left -= n
	return p[n:]
}

// observeFrame inspects the beginning of a frame. The rest of it may come with the next Write.
func (c *windowConn) observeFrame(p []byte) []byte {
	want := frameHeaderLen
	if c.have >= frameHeaderLen {
		want = windowUpdateLen
	}
	n := copy(c.frame[c.have:want], p)
	if c.have += n; c.have < want {
		return p[n:]
	}
	length, kind := payloadLen(c.frame[:]), c.frame[3]
	stream := binary.BigEndian.Uint32(c.frame[5:9])
	switch {
	case kind == frameTypeWindowUpdate && stream != 0 && length == windowUpdateLen-frameHeaderLen:
		if c.have < windowUpdateLen {
			return p[n:] // its payload is needed
		}
		if c.holdBack(stream, int64(binary.BigEndian.Uint32(c.frame[frameHeaderLen:]))) {
			c.have = 0
			return p[n:]
		}
	case kind == frameTypeReset:
		c.end(stream)
		c.left = length
	default:
		c.left = length
	}
	c.out = append(c.out, c.frame[:c.have]...)
	c.have = 0
	return p[n:]
}

// holdBack counts the large message that a WINDOW_UPDATE requests, and reports whether the update
// must wait for room.
func (c *windowConn) holdBack(stream uint32, bytes int64) bool {
	if bytes <= streamWindow || c.closed {
		return false
	}
	if g := c.granted[stream]; g != nil {
		return false // a further update for the same message
	}
	g := &grant{update: c.frame, bytes: bytes, left: bytes - streamWindow}
	c.granted[stream] = g
	c.granting.Store(true)
	if c.intake.take(bytes, func() { c.begin(stream, g) }) {
		c.count(stream, g)
	}
	return !g.counted
}

// count marks a message as counted, for at most grantTimeout.
func (c *windowConn) count(stream uint32, g *grant) {
	g.counted = true
	g.late = time.AfterFunc(grantTimeout, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.granted[stream] == g && g.counted {
			g.counted = false
			c.intake.Done(int(g.bytes))
		}
	})
}

// begin requests a message for which there is room now.
func (c *windowConn) begin(stream uint32, g *grant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.granted[stream] != g {
		c.intake.Done(int(g.bytes)) // its stream has ended
		return
	}
	c.count(stream, g)
	if c.have > 0 || c.left > 0 || c.preface > 0 {
		c.ready = append(c.ready, g.update[:]...)
		return
	}
	_, _ = c.Conn.Write(g.update[:]) // grpc-go's reader gets the error
}

// end removes the grant of a stream that has ended.
func (c *windowConn) end(stream uint32) {
	g := c.granted[stream]
	if g == nil {
		return
	}
	delete(c.granted, stream)
	c.granting.Store(len(c.granted) > 0)
	if g.late != nil {
		g.late.Stop()
	}
	if g.counted {
		c.intake.Done(int(g.bytes))
	}
}

// Read observes the frames of streams with a large message.
func (c *windowConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for rest := p[:n]; len(rest) > 0; {
		if c.inLeft > 0 {
			skip := min(c.inLeft, len(rest))
			c.inLeft -= skip
			rest = rest[skip:]
			continue
		}
		got := copy(c.in[c.inHave:], rest)
		rest = rest[got:]
		if c.inHave += got; c.inHave < frameHeaderLen {
			break
		}
		c.inHave, c.inLeft = 0, payloadLen(c.in[:])
		if c.granting.Load() {
			c.observeRead()
		}
	}
	return n, err
}

// observeRead inspects a received frame header.
func (c *windowConn) observeRead() {
	kind, flags, stream := c.in[3], c.in[4], binary.BigEndian.Uint32(c.in[5:9])
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.granted[stream]
	if g == nil {
		return
	}
	if kind == frameTypeData {
		g.left -= int64(c.inLeft)
	}
	endsStream := (kind == frameTypeData || kind == frameTypeHeaders) && flags&flagEndStream != 0
	if kind == frameTypeReset || endsStream || kind == frameTypeData && g.left <= 0 {
		c.end(stream)
	}
}

// Close closes the connection and removes all grants.
func (c *windowConn) Close() error {
	err := c.Conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for stream := range c.granted {
		c.end(stream)
	}
	return err
}
