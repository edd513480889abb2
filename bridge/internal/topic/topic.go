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
	// Judge says what the error of an RPC, never nil or io.EOF, means.
	Judge func(error) Verdict
	// Silent reports whether the error of an RPC, never nil or io.EOF, says that
	// the backend does not answer; nil: none does.
	Silent func(error) bool
	// Cursors are set where RPCs can be opened at a cursor.
	Cursors *Cursors
	// Turns bounds the catch-ups of the backend; nil: there is no bound.
	Slots *Slots
	Log   replay.Params // Hold, Start and Budget are set by the registry
	// Linger is how long the topic stays after its last client left.
	Linger  time.Duration
	Backoff Backoff
	// Attempts is how often in a row a lost RPC is opened before clients are
	// told; 0 is without end.
	Attempts int
	// CatchUp bounds the messages of a catch-up that begins after a cursor: then a
	// gap is told, and it begins anew. 0 is without bound.
	CatchUp uint64
	// Reopen opens the RPC again when it ends with OK.
	Reopen bool
	// StopOnBad ends the stream at a message that cannot be shown, instead
	// of telling a gap.
	StopOnBad bool
	// NoReturn is set where clients have no place to come back to: what would
	// be Retry is Fatal.
	NoReturn bool
	// Dated is set where places have an age, by which Place.TooOld may be set.
	Dated bool
	// Ended is called once the registry has forgotten the topic, while it is
	// locked; nil does nothing.
	Ended func()
	// Abandon ends the RPC at once when its last client leaves.
	Abandon bool
}

// role is what a topic is to its family.
type role int32

const (
	mainRole    role = iota // the topic that clients without a place join
	privateRole             // one client's own
	catchUpRole             // follows what main has not got, until it meets it
)

// Topic is one upstream stream and its log. Its parts are named for what guards them. Locks
// are taken in this order: the registry's, the family's, the readers', the log's.
type Topic struct {
	epoch    string
	params   Params
	start    string // the id of the cursor that the log begins after; empty: none, or an RPC of its client's own
	home     *family
	log      *replay.Log
	registry *Registry

	status   atomic.Pointer[Status]
	statusMu sync.Mutex // of update

	// role is changed under the registry's, the family's and the readers' lock.
	roleNow   atomic.Int32
	listening atomic.Int32         // clients
	replayed  atomic.Bool          // a bounded catch-up has brought all that there was when it began
	slot      atomic.Pointer[slot] // of a catch-up's newest RPC

	// room wakes a pump that waits for its readers: a client has read on, has come back or
	// has left, or main has moved. One wake-up is enough, so it holds one; never closed.
	room    chan struct{}
	waiting atomic.Bool // the pump waits for room, or is about to

	pump    pump    // the pump's own
	readers readers // guarded by a lock of their own
	member  member     // guarded by the family's lock
	reg     registration // guarded by the registry's lock
}

// kin is a topic as its family knows it. It is guarded by the family's lock.
type member struct {
	*Topic

	accepted bool               // it has a running RPC
	gapAt    uint64             // the position of the newest gap that breaks the order of cursors
	newest   string             // the id at the log's head
	entry    entry              // of the family's index
	apart    bool               // no other log merges into it, and no cursor is found in it; changed under the registry's lock, too
	removed  bool               // the family does not know it any more
	merged   bool               // another log goes on from here
	stop     context.CancelFunc // ends the pump; nil while none runs
}

// tenancy is a topic as the registry knows it. It is guarded by the registry's lock.
type registration struct {
	clients int
	opened  bool       // some client has been sent a stream-open
	settled bool       // a client has listened for long: see settles
	from    netip.Addr // see Join.From
	gone    bool
	linger  *time.Timer // runs while clients == 0
	rests   int         // how often it has begun to linger
	keptMain *Topic      // a catch-up: the main log that it keeps
	mainJoin    *Join       // a catch-up that is apart: a client of its, by which main is opened
}

func newTopic(epoch string, role role, start string, home *family, params Params) *Topic {
	params.Log.Hold, params.Log.Start = role != mainRole, start
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

// wakePump lets the pump of a topic that holds its log look again whether it
// may read.
func (t *Topic) wakePump() {
	if !t.waiting.Load() {
		return
	}
	select {
	case t.room <- struct{}{}:
	default:
	}
}
