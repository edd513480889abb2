package upstream

import (
	"errors"
	"fmt"

	"golang.org/x/net/http2"

	"github.com/ssebridge/ssebridge/internal/printable"
)

// errHTTP2 is wrapped by the error that ends a connection whose server violates HTTP/2.
var errHTTP2 = errors.New("the server breaks HTTP/2")

// breakf ends the connection because of a frame after which no other can be read. The RPC of the
// frame's stream, if there is one, ends with that cause.
func (c *answerConn) breakf(stream uint32, format string, args ...any) {
	err := fmt.Errorf(format, args...)
	c.err = fmt.Errorf("%w: %w", errHTTP2, err)
	if stream == noStream {
		return
	}
	if c.blamed != nil {
		c.blamed(c.err)
	}
	c.appendEnd(stream, answerBroke+printable.Line(err.Error(), maxErrorLen))
}

// endBroken ends the RPC of a stream on which the server sent a frame that violates HTTP/2. The
// connection goes on.
//
// It lets grpc-go read a WINDOW_UPDATE of 0, which is a stream error (RFC 9113, section 6.9).
// grpc-go ends the RPC with INTERNAL and sends RST_STREAM to the server, so the stream ends there
// too.
func (c *answerConn) endBroken(stream uint32) {
	delete(c.http, stream)
	c.appendFrame(http2.FrameWindowUpdate, 0, stream, make([]byte, windowUpdateLen-frameHeaderLen))
}

// drop consumes payload that grpc-go must not read, and returns the number of bytes. The payload of
// a too large DATA frame still passes, in frames of the largest size: its stream has ended, but the
// connection's flow control counts it.
func (c *answerConn) drop(payload []byte) int {
	n := min(c.left, len(payload))
	if c.oversized != noStream {
		n = min(n, http2FrameLen-len(c.frame))
		c.frame = append(c.frame, payload[:n]...)
	}
	c.left -= n
	if c.oversized != noStream && (len(c.frame) == http2FrameLen || c.left == 0) {
		c.appendFrame(http2.FrameData, 0, c.oversized, c.frame)
		c.frame = c.frame[:0]
	}
	return n
}

// padded passes on a padded DATA frame. RFC 9113, section 6.1, ends the connection if the padding
// is longer than the payload. The frames behind it are still readable, so padded ends only the
// stream.
func (c *answerConn) padded(stream uint32, flags http2.Flags, payload []byte) {
	if len(payload) > 0 && int(payload[0]) < len(payload) {
		c.out = append(c.out, c.frame...)
		return
	}
	c.endBroken(stream)
	c.appendFrame(http2.FrameData, flags&^http2.FlagDataPadded, stream, payload) // for the connection's flow control
}
