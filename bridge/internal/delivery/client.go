package delivery

import (
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// Source is the topic that a client's stream is read from. Its methods are called by one goroutine at a
// time. They must not block: the shard's goroutine also serves other clients.
//
//nolint:interfacebloat // one adapter implements all of it, and every caller needs it whole
type Source interface {
	// Log returns the log that the client reads. It changes only when Follower.Move moves the client.
	Log() *replay.Log
	// Status returns the topic's state, and a channel that is closed when the state changes. A change
	// also notifies the log's watchers.
	Status() (Status, <-chan struct{})
	// Watches reports whether Sending, Taking and Progress must be called. It is called once for each
	// log that the client reads, and its result holds for that log. Calling it for each frame and
	// client would be a considerable part of a frame's cost.
	Watches() bool
	// Sending reports that frames up to position are about to be written. The log may drop these frames
	// before all are written. Before a block that is not in the log (see Blocks), position is the
	// client's current position.
	Sending(position uint64)
	// Taking reports that the client's socket has taken a part of what the last Sending announced.
	Taking()
	// Progress reports the position up to which everything has been written. For clients that take
	// gzip, Sending, Taking and Progress are called even if Watches is false.
	Progress(position uint64)
}

// Follower moves a client's stream from log to log. Its methods are called like those of Source.
type Follower interface {
	// Pass skips frames that the client already has, as the ordinal in the client's id tells: next is
	// position if there are none, else the position of the last of them. more reports that next is the
	// log's head, and that the client may also have the frame that is appended next. When more is false,
	// Pass is not called again in this log.
	Pass(position uint64) (next uint64, more bool)
	// Parted reports whether the client must move to another log before it is sent more: either it keeps
	// other clients waiting, or a slow client keeps it waiting. Parted is only called if Watches is true
	// or the client takes gzip.
	Parted() bool
	// Move is called at the end of the log, and when Parted is true. If another log continues the
	// stream, moved is true, Source.Log returns that log from now on, and position is the client's
	// position in that log. An error means that another log would be needed, but a limit is reached or
	// the bridge is closing.
	Move() (position uint64, moved bool, err error)
}

// Status is the part of a topic's state that clients are sent in blocks that are not in the log.
type Status struct {
	Stale bool // the topic has no RPC
	Leave bool // the client must read the log to its head and then reconnect
}

// Blocks render blocks of a client's own, which are not in the log. The methods append to dst.
type Blocks interface {
	// Heartbeat renders the block that keeps a silent connection alive.
	Heartbeat(dst []byte) []byte
	// Stale renders the block that reports that the topic has no RPC, Live the one that it has one again.
	Stale(dst []byte) []byte
	Live(dst []byte) []byte
	// Lagged renders the gap for a client that was too slow for the log. The oldest frame of the log
	// follows the gap; position is the position before that frame.
	Lagged(dst []byte) (block []byte, position uint64)
	// Leave renders the request to reconnect, or the end of the stream if why is reason.LeaveRemoved.
	Leave(dst []byte, why reason.Leave) []byte
}

// Policy is the part of a route's configuration that delivery applies.
type Policy struct {
	// WriteTimeout is how long a socket may take nothing while there is something to write. Over
	// HTTP/2 it resets a stream whose client opens no flow-control window. If the whole connection takes
	// nothing, that reset cannot be written either, and only http.Server's HTTP2.WriteByteTimeout ends
	// the stream.
	WriteTimeout time.Duration
	// Heartbeat is the longest time without a write; 0 is unlimited.
	Heartbeat time.Duration
	// MaxAge is the age of a stream at which its client is asked to reconnect; 0 is unlimited.
	MaxAge time.Duration
	// Expires is the age of a stream at which its client's credentials expire, and it is asked to
	// reconnect; 0 is never.
	Expires time.Duration
	// Comments is set if heartbeats are comments, which some clients buffer.
	Comments bool
	// Skip lets a client that is too slow for the log continue after a gap. Without it, the client is
	// asked to reconnect.
	Skip bool
}

// Client is one response to stream, and its result.
type Client struct {
	Source   Source
	Follower Follower // nil if the stream ends with its log
	Blocks   Blocks
	Policy   Policy
	First    []byte // the first block, written at once
	Position uint64 // in the log; it advances as frames are written
	Gzip     bool   // the client accepts gzip
	// Sent counts the bytes of the body that the socket, or net/http, has taken. Chunk framing is
	// included only if the bridge, not net/http, writes it. Done may read Sent.
	Sent uint64
	// Frames counts the frames that were written whole. Done may read Frames.
	Frames uint64
	// Audience is the set of clients that this client is dismissed with; it may be nil.
	Audience *Audience
	// Counts is shared by the clients of a route; it may be nil.
	Counts *Counts
	// Says is the reason in First if First is a request to reconnect, and no frame follows; otherwise it
	// is empty. Counts.Ends counts the stream by this reason.
	Says reason.Leave
	by   atomic.Value // of type served: the stream that serves the client; empty before there is one
	// Done is called once, with the end of the stream, on the goroutine that served the client. It must
	// be quick, since other clients may wait for that goroutine. It may be nil.
	Done func(reason.End)
}

// Cut ends the client's stream at once, without a last block. Before Clients.Serve has started the
// stream, it does nothing. It does not block and is safe for concurrent use.
func (c *Client) Cut() {
	if s, ok := c.by.Load().(served); ok {
		s.cut()
	}
}

func (c *Client) servedBy(s served) { c.by.Store(s) }
