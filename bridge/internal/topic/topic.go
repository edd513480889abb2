package topic

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// Params say how a topic runs.
type Params struct {
	Source   Source
	Renderer Renderer
	// Judge says what the error of an RPC means; it is never nil or io.EOF.
	Judge func(error) Verdict
	// Silent reports whether the error of an RPC says that the backend does not answer;
	// it is never nil or io.EOF. A nil func reports false.
	Silent func(error) bool
	// Cursors are set where RPCs can be opened at a cursor.
	Cursors *Cursors
	// Slots bounds the catch-ups of the backend; nil is no bound.
	Slots *Slots
	Log   replay.Params // Hold, Start and Budget are set by the registry
	// Linger is how long the topic stays after its last client left.
	Linger  time.Duration
	Backoff Backoff
	// Attempts is how often in a row a lost RPC is reopened before clients are asked to
	// reconnect; 0 is no limit.
	Attempts int
	// CatchUp bounds the messages of a catch-up that begins after a cursor. Beyond it the
	// log has a gap, and the RPC is opened again without a cursor. 0 is no bound.
	CatchUp uint64
	// Reopen: an RPC that ends with OK is opened again.
	Reopen bool
	// StopOnBad: a message that cannot be converted to JSON ends the stream; otherwise a gap
	// replaces it.
	StopOnBad bool
	// NoReturn: clients have no ids to come back with, so what would be Retry is Fatal.
	NoReturn bool
	// Dated: places have an age, by which Place.TooOld may be set.
	Dated bool
	// Ended is called, under the registry's lock, when the registry has removed the
	// topic; nil does nothing.
	Ended func()
	// Abandon: the topic ends at once when its last client leaves.
	Abandon bool
}

// role is what a topic does in its family.
type role int32

const (
	mainRole    role = iota // clients without a place join it
	privateRole             // it belongs to one client
	catchUpRole             // it sends clients what main's log does not hold, until it meets main
)

// Topic is one upstream stream and its log. Its parts are named for what guards them. Locks are
// taken in this order: the registry's, the family's, the readers', the log's.
type Topic struct {
	epoch    string
	params   Params
	start    string // the id of the cursor that the log begins after; empty: none, or an RPC of its client's own
	home     *family
	log      *replay.Log
	registry *Registry

	status   atomic.Pointer[Status]
	statusMu sync.Mutex // of update

	// roleNow is the role; changed under the registry's, the family's and the readers' lock.
	roleNow   atomic.Int32
	listening atomic.Int32         // clients
	replayed  atomic.Bool          // a bounded catch-up has brought all that there was when it began
	slot      atomic.Pointer[slot] // of a catch-up's newest RPC

	// room wakes a pump that waits for its readers: a client has read on, has come back or
	// has left, or main has moved. It has room for one wake-up, which is enough. It is
	// never closed.
	room    chan struct{}
	waiting atomic.Bool // the pump waits for room, or is about to

	pump    pump         // owned by the pump's goroutine
	readers readers      // guarded by a lock of their own
	member  member       // guarded by the family's lock
	reg     registration // guarded by the registry's lock
}

// member is a topic as its family knows it. The family's lock guards it.
type member struct {
	*Topic

	accepted bool               // it has a running RPC
	gapAt    uint64             // the position of the newest gap after which cursors begin again
	newest   string             // the id at the log's head
	entry    entry              // of the family's index
	apart    bool               // no other log merges into it, and no cursor is looked up in it; changed under the registry's lock, too
	removed  bool               // it is not in the family any more
	merged   bool               // another log continues it
	stop     context.CancelFunc // ends the pump; nil while none runs
}

// registration is a topic as the registry knows it. The registry's lock guards it.
type registration struct {
	clients  int
	opened   bool       // some client was sent stream-open
	settled  bool       // a client has listened for settles
	from     netip.Addr // see Join.From
	gone     bool
	linger   *time.Timer // runs while clients == 0
	rests    int         // how often it has begun to linger
	keptMain *Topic      // a catch-up: the main log that it keeps
	mainJoin *Join       // a catch-up that is apart: a client of its, by which main is opened
}

func newTopic(epoch string, role role, start string, home *family, params Params) *Topic {
	params.Log.Retain, params.Log.Start = role != mainRole, start
	t := &Topic{
		epoch: epoch, start: start, home: home, params: params,
		log:  replay.New(params.Log),
		room: make(chan struct{}, 1),
	}
	t.pump = pump{Topic: t, pace: pace{backoff: params.Backoff}}
	t.pump.intake.pump = &t.pump
	t.readers.Topic, t.readers.stall.readers = t, &t.readers
	t.member = member{Topic: t, newest: start}
	t.roleNow.Store(int32(role))
	t.status.Store(&Status{changed: make(chan struct{})})
	return t
}

func (t *Topic) role() role { return role(t.roleNow.Load()) }

// Epoch returns the name of the topic's log in the ids of its frames.
func (t *Topic) Epoch() string { return t.epoch }

// Log returns the topic's log.
func (t *Topic) Log() *replay.Log { return t.log }

// wakePump lets a pump that waits for its readers check again whether it may read.
func (t *Topic) wakePump() {
	if !t.waiting.Load() {
		return
	}
	select {
	case t.room <- struct{}{}:
	default:
	}
}
