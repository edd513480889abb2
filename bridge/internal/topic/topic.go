package topic

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// Params say how a topic runs.
type Params struct {
	Source   Source
	Renderer Renderer
	// Judge says what the error of an RPC, never nil or io.EOF, means.
	Judge func(error) Verdict
	Log   replay.Params // Hold is set by the registry for private topics
	// Linger is how long the topic stays after its last client left.
	Linger  time.Duration
	Backoff Backoff
	// Reopen opens the RPC again when it ends with OK.
	Reopen bool
	// StopOnBad ends the stream at a message that cannot be shown, instead
	// of telling a gap.
	StopOnBad bool
	// NoReturn is set where clients have no place to come back to: what would
	// be Retry is Fatal.
	NoReturn bool
	// Abandon ends the RPC at once when its last client leaves.
	Abandon bool
}

// Topic is one upstream stream and its log.
type Topic struct {
	epoch   string
	params  Params
	private bool
	log     *replay.Log
	status  atomic.Pointer[Status]
	mu      sync.Mutex // of update

	// Owned by the pump while it runs, else by whoever starts it.
	pace      pace
	failures  int  // openings in a row that failed with what may be a bug
	delivered bool // the current RPC has delivered a message
	gapDue    bool // the RPC before had: its successor starts with a gap

	// room wakes a private topic's pump: its client has read on, has come
	// back or has left. One wake-up is enough, so it holds one; never closed.
	room      chan struct{}
	listening atomic.Int32

	readersMu sync.Mutex
	readers   []*Subscription // a private topic's clients, as they came; the log is held for the last

	// Guarded by the registry's lock.
	home    *family
	clients int
	opened  bool // some client has been sent a stream-open
	gone    bool
	stop    context.CancelFunc // ends the pump; nil while none runs
	linger  *time.Timer        // runs while clients == 0
	rests   int                // how often it has begun to linger
}

func newTopic(epoch string, private bool, home *family, params Params) *Topic {
	params.Log.Hold = private
	t := &Topic{
		epoch: epoch, private: private, home: home, params: params,
		log:  replay.New(params.Log),
		pace: pace{backoff: params.Backoff},
		room: make(chan struct{}, 1),
	}
	t.status.Store(&Status{changed: make(chan struct{})})
	return t
}

// Epoch returns the name of the topic's log in the ids of its frames.
func (t *Topic) Epoch() string { return t.epoch }

// Log returns the topic's log.
func (t *Topic) Log() *replay.Log { return t.log }

// append adds a frame that the renderer has made.
func (t *Topic) append(frame []byte, id string) { t.log.Append(frame, id) }

// wakePump lets a private topic's pump look again whether it may read.
func (t *Topic) wakePump() {
	select {
	case t.room <- struct{}{}:
	default:
	}
}
