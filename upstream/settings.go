package upstream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"

	"golang.org/x/net/http2"
)

// The parts of HTTP/2 framing that SETTINGS and GOAWAY need (RFC 9113, sections 4.1, 6.5 and 6.8).
const (
	frameHeaderLen           = 9
	frameTypeSettings        = 0x4
	flagAck                  = 0x1
	frameTypeGoAway          = 0x7
	settingLen               = 6
	settingMaxStreams        = 0x3
	unlimitedStreams  uint32 = math.MaxUint32
)

// settingsConn observes the bytes of a server and reports how many concurrent streams it allows.
// grpc-go does not expose that number: an RPC beyond it blocks silently. Inferring the limit from
// RPCs that take long would be wrong on a busy machine and slow on every other one.
//
// Observing costs some nanoseconds a frame; payloads are skipped (BenchmarkSettingsConn).
type settingsConn struct {
	net.Conn

	// onLimit is called for each SETTINGS frame with a limit of streams, and for a first one
	// without.
	onLimit func(streams uint32)
	// onTooManyPings is called when the server closes the connection because of too many PINGs.
	onTooManyPings func()
	// onGoAway is called when the server announces that it closes the connection, for no fault of
	// this side.
	onGoAway func()
	// onRefused is called at most once, if the server's first bytes are not HTTP/2.
	onRefused func(err error)

	// Owned by the one reader of the connection.
	header        [frameHeaderLen]byte
	have          int // bytes of header
	left          int // bytes of payload to come
	inSettings    bool
	inGoAway      bool
	goAwayPayload []byte // the first bytes of a GOAWAY's payload
	setting       [settingLen]byte
	partial       int // bytes of setting
	begun         bool
	refused       bool
}

// Read returns the server's bytes unchanged.
func (c *settingsConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.refused {
		c.observe(p[:n])
		if err != nil && !c.begun && !c.refused {
			c.refused = true
			c.onRefused(fmt.Errorf("%w: %w", errHungUp, err))
		}
	}
	return n, err
}

func (c *settingsConn) observe(p []byte) {
	for len(p) > 0 && !c.refused {
		if c.left == 0 {
			if c.begun && c.have == 0 && len(p) >= frameHeaderLen && p[3] != frameTypeSettings && p[3] != frameTypeGoAway {
				// The usual case, which does not copy the header.
				c.inSettings, c.inGoAway = false, false
				c.left = payloadLen(p)
				p = p[frameHeaderLen:]
			} else {
				p = c.observeHeader(p)
			}
			continue
		}
		n := min(c.left, len(p))
		if c.inSettings {
			c.observeSettings(p[:n])
		}
		c.left -= n
		if c.inGoAway {
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
	c.inSettings = c.header[3] == frameTypeSettings && c.header[4]&flagAck == 0
	c.inGoAway, c.goAwayPayload = c.header[3] == frameTypeGoAway, nil
	if !c.begun {
		if !c.inSettings {
			c.refused = true
			c.onRefused(fmt.Errorf("%w: the server began with %q", errNotHTTP2, c.header[:]))
			return nil
		}
		c.begun = true
		c.onLimit(unlimitedStreams) // until this frame sets a limit
	}
	return p[n:]
}

// payloadLen returns the payload's length from a frame header.
func payloadLen(header []byte) int {
	return int(header[0])<<16 | int(header[1])<<8 | int(header[2])
}

// observeGoAway collects the payload of a GOAWAY, and evaluates it once it is complete.
func (c *settingsConn) observeGoAway(p []byte) {
	const most = 64
	c.goAwayPayload = append(c.goAwayPayload, p[:min(len(p), most-len(c.goAwayPayload))]...)
	if c.left > 0 {
		return
	}
	if tooManyPings(c.goAwayPayload) && c.onTooManyPings != nil {
		c.onTooManyPings()
	}
	if goAwayCode(c.goAwayPayload) == http2.ErrCodeNo && c.onGoAway != nil {
		c.onGoAway()
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
			c.onLimit(binary.BigEndian.Uint32(c.setting[2:]))
		}
	}
}

var (
	errNotHTTP2 = errors.New("not an HTTP/2 server")
	errHungUp   = errors.New("the server hung up before HTTP/2 began")
)
