package upstream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"

	"golang.org/x/net/http2"
)

// HTTP/2 framing, as far as SETTINGS need it (RFC 9113, sections 4.1 and 6.5).
const (
	frameHeaderLen           = 9
	frameTypeSettings        = 0x4
	flagAck                  = 0x1
	frameTypeGoAway          = 0x7
	settingLen               = 6
	settingMaxStreams        = 0x3
	unlimitedStreams  uint32 = math.MaxUint32
)

// settingsConn reads along what a server says and reports how many concurrent
// streams it allows. grpc-go keeps that number to itself: an RPC beyond it
// blocks without a sign. Guessing the limit from RPCs that take long would be
// wrong on a busy machine and slow on every other one.
//
// Reading along costs some nanoseconds a frame; payloads are skipped
// (BenchmarkSettingsReadAlong).
type settingsConn struct {
	net.Conn

	// limit is called for each SETTINGS frame that says how many streams are
	// allowed, and for a first one that does not.
	limit func(streams uint32)
	// calm is called when the server closes the connection for too many PINGs.
	calm func()
	// leave is called when the server announces that it closes the connection, for
	// no fault of this side.
	leave func()
	// refuse is called at most once, if what the server says first is not
	// HTTP/2.
	refuse func(err error)

	// Owned by the one reader of the connection.
	header   [frameHeaderLen]byte
	have     int // bytes of header
	left     int // bytes of payload to come
	settings bool
	goAway   bool
	farewell []byte // the payload of a GOAWAY, as far as it matters
	setting  [settingLen]byte
	partial  int // bytes of setting
	begun    bool
	refused  bool
}

// Read reads from the server.
func (c *settingsConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.refused {
		c.observe(p[:n])
		if err != nil && !c.begun && !c.refused {
			c.refused = true
			c.refuse(fmt.Errorf("%w: %w", errHungUp, err))
		}
	}
	return n, err
}

func (c *settingsConn) observe(p []byte) {
	for len(p) > 0 && !c.refused {
		if c.left == 0 {
			if c.begun && c.have == 0 && len(p) >= frameHeaderLen && p[3] != frameTypeSettings && p[3] != frameTypeGoAway {
				// The usual case, without copying the header.
				c.settings, c.goAway = false, false
				c.left = payloadLen(p)
				p = p[frameHeaderLen:]
			} else {
				p = c.observeHeader(p)
			}
			continue
		}
		n := min(c.left, len(p))
		if c.settings {
			c.observeSettings(p[:n])
		}
		c.left -= n
		if c.goAway {
			c.observeGoAway(p[:n])
		}
		p = p[n:]
	}
}

func (c *settingsConn) observeHeader(p []byte) []byte {
	n := copy(c.header[c.have:], p)
	if c.have += n; c.have < frameHeaderLen {
		return p[n:]
	}
	c.have, c.partial = 0, 0
	c.left = payloadLen(c.header[:])
	c.settings = c.header[3] == frameTypeSettings && c.header[4]&flagAck == 0
	c.goAway, c.farewell = c.header[3] == frameTypeGoAway, nil
	if !c.begun {
		if !c.settings {
			c.refused = true
			c.refuse(fmt.Errorf("%w: the server began with %q", errNotHTTP2, c.header[:]))
			return nil
		}
		c.begun = true
		c.limit(unlimitedStreams) // until this frame says otherwise
	}
	return p[n:]
}

// payloadLen is the length that a frame's header gives its payload.
func payloadLen(header []byte) int {
	return int(header[0])<<16 | int(header[1])<<8 | int(header[2])
}

// observeGoAway keeps what a GOAWAY says, and reads it when it is whole.
func (c *settingsConn) observeGoAway(p []byte) {
	const most = 64
	c.farewell = append(c.farewell, p[:min(len(p), most-len(c.farewell))]...)
	if c.left > 0 {
		return
	}
	if tooManyPings(c.farewell) && c.calm != nil {
		c.calm()
	}
	if farewellCode(c.farewell) == http2.ErrCodeNo && c.leave != nil {
		c.leave()
	}
}

func (c *settingsConn) observeSettings(p []byte) {
	for len(p) > 0 {
		n := copy(c.setting[c.partial:], p)
		p = p[n:]
		if c.partial += n; c.partial < settingLen {
			return
		}
		c.partial = 0
		if binary.BigEndian.Uint16(c.setting[:2]) == settingMaxStreams {
			c.limit(binary.BigEndian.Uint32(c.setting[2:]))
		}
	}
}

var (
	errNotHTTP2 = errors.New("not an HTTP/2 server")
	errHungUp   = errors.New("the server hung up before HTTP/2 began")
)
