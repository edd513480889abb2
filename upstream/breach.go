package upstream

import (
	"errors"
	"fmt"

	"golang.org/x/net/http2"
)

// errHTTP2 is wrapped by the end of a connection whose server breaks HTTP/2.
var errHTTP2 = errors.New("the server breaks HTTP/2")

// breakf ends the connection for a frame after which nothing can be read any
// more. The RPC of the frame's stream, if there is one, ends with that reason.
func (c *answerConn) breakf(stream uint32, format string, args ...any) {
	err := fmt.Errorf(format, args...)
	c.err = fmt.Errorf("%w: %w", errHTTP2, err)
	if stream == noStream {
		return
	}
	if c.blamed != nil {
		c.blamed(c.err)
	}
	c.appendEnd(stream, answerBroke+printable(err.Error()))
}

// endBroken ends the RPC of a stream on which the server has sent a frame that
// breaks HTTP/2, and leaves the connection alone.
//
// It has grpc-go read a WINDOW_UPDATE of 0, a stream error by RFC 9113, section
// 6.9. grpc-go ends the RPC with INTERNAL and sends the server RST_STREAM, so that
// the stream does not go on there.
func (c *answerConn) endBroken(stream uint32) {
	delete(c.http, stream)
	c.appendFrame(http2.FrameWindowUpdate, 0, stream, make([]byte, windowUpdateLen-frameHeaderLen))
}

// drop takes payload that grpc-go is not to read, and returns how much. That of a
// DATA frame that is too large is passed on all the same, in frames of the largest
// size: its stream has ended, but the connection's flow control counts it.
func (c *answerConn) drop(payload []byte) int {
	n := min(c.left, len(payload))
	if c.over != noStream {
		n = min(n, http2FrameLen-len(c.frame))
		c.frame = append(c.frame, payload[:n]...)
	}
	c.left -= n
	if c.over != noStream && (len(c.frame) == http2FrameLen || c.left == 0) {
		c.appendFrame(http2.FrameData, 0, c.over, c.frame)
		c.frame = c.frame[:0]
	}
	return n
}

// padded hands on a padded DATA frame. RFC 9113, section 6.1, has more padding than
// bytes end the connection, but the frames behind it can be read as well as
// before, and so only its stream ends.
func (c *answerConn) padded(stream uint32, flags http2.Flags, payload []byte) {
	if len(payload) > 0 && int(payload[0]) < len(payload) {
		c.out = append(c.out, c.frame...)
		return
	}
	c.endBroken(stream)
	c.appendFrame(http2.FrameData, flags&^http2.FlagDataPadded, stream, payload) // for the connection's flow control
}
