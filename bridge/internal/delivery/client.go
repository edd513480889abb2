package delivery

import (
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// Source is what a client's stream is read from. Its methods are called by one
// goroutine at a time, which serves others too: they do not wait.
//
//nolint:interfacebloat // it is one thing, and no caller needs a part of it
type Source interface {
	Log() *replay.Log
	// Status returns what a client is to be told besides the log's frames,
	// and a channel that is closed when that changes. The log's watchers are
	// notified, too.
	Status() (Status, <-chan struct{})
	// Watches reports whether Sending and Progress are to be called, at least until
	// the client moves. It is not asked for each frame, for what is looked up for
	// each of many clients is a good part of what a frame costs.
	Watches() bool
	// Sending says how far the frames go that are to be written now. They may
	// have left the log when they have been. A block of the client's own is written
	// at its position. Progress follows as soon as all has been written.
	Sending(position uint64)
	// Taking says that the client's socket has taken a part of what is being written.
	Taking()
	// Progress says how far the client has been written to. It is called, and Sending,
	// also where frames are read compressed.
	Progress(position uint64)
}

// Follower brings a client's stream from log to log. Its methods are called as
// Source's are.
type Follower interface {
	// Pass returns the position behind those frames after a position that the
	// client is not to be sent. more: the log holds no other, and what comes next
	// may be one of them; else it is not asked again until the client moves.
	Pass(position uint64) (next uint64, more bool)
	// Parted reports whether the client is to move before it is sent more: it keeps
	// others waiting, or is kept waiting. It is asked where the Source Watches.
	Parted() bool
	// Move is asked at the end of the log, and where the client is parted. Where another log goes on from
	// there, the Source's Log is that one from now on, and position where the
	// client stands in it. An error says that there is no room for one.
	Move() (position uint64, moved bool, err error)
}

// Status is what a client is to be told besides the log's frames.
type Status struct {
	Stale bool // no RPC is placed
	Leave bool // the client is to read what the log holds, and come back later
}

// Blocks render a client's own blocks, which no log holds. They append.
type Blocks interface {
	// Heartbeat keeps a silent connection alive.
	Heartbeat(dst []byte) []byte
	// Stale tells that no RPC is placed, Live that one is again.
	Stale(dst []byte) []byte
	Live(dst []byte) []byte
	// Lagged tells a gap, and returns the position behind it: that of the
	// oldest frame held.
	Lagged(dst []byte) (block []byte, position uint64)
	// Leave asks the client to come back or, if it is Removed, says that the
	// stream has ended for good.
	Leave(dst []byte, why reason.Leave) []byte
}

// Policy says how a client is served.
type Policy struct {
	// WriteTimeout is how long a socket may take nothing while there is
	// something to send. On HTTP/2 it ends streams whose client gives no
	// window; where the whole connection takes nothing, the reset cannot be
	// written either, and only http.Server's HTTP2.WriteByteTimeout helps.
	WriteTimeout time.Duration
	// Heartbeat is how long a connection may be silent; 0 is for ever.
	Heartbeat time.Duration
	// Comments is set where heartbeats are comments, which clients buffer.
	Comments bool
	// MaxAge is when the client is asked to come back; 0 is never.
	MaxAge time.Duration
	// Skip tells a client that is too slow for the log what it missed,
	// instead of asking it to come back.
	Skip bool
}

// Client is one response to be streamed.
type Client struct {
	Source   Source
	Follower Follower // nil: the stream ends with its log
	Blocks   Blocks
	Policy   Policy
	First    []byte // the first block, written at once
	Position uint64 // in the log, behind First
	Gzip     bool   // the client takes the response compressed
	// Sent is how many bytes of the response's body the client's socket, or
	// net/http, has taken, the body's own framing included where it is ours. It is for
	// Done to read.
	Sent uint64
	// Frames is how many of the logs' frames the client has been sent whole; for Done.
	Frames uint64
	// Audience is the group that the client is dismissed with; nil: none.
	Audience *Audience
	// Counts is where what becomes of the client is counted; nil: nowhere.
	Counts *Counts
	// Says is why the client is asked to come back, where its log has nothing but
	// that; the zero Reason: it is not.
	Says    reason.Leave
	cutting atomic.Value // a func() that ends the stream; none until it is served
	// Done is called once, with how the stream ended, by the goroutine that served
	// it. It should be quick, for other clients may wait. It may be nil.
	Done func(reason.End)
}

// Cut ends the client's stream at once, without a last block, if it is being
// served. It does not wait, and may be called from any goroutine.
func (c *Client) Cut() {
	if cut, ok := c.cutting.Load().(func()); ok {
		cut()
	}
}

func (c *Client) servedBy(s served) { c.cutting.Store(s.cut) }
