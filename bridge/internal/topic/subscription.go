package topic

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// Join is a client's request for a stream.
type Join struct {
	// Key differs for requests that a backend can tell apart, except by where they resume.
	Key string
	// Owner is the owner of the topic; nil: none.
	Owner *Owner
	// Private: each client has a topic of its own.
	Private bool
	// Held: a client without a place starts at the oldest frame of the log instead of after the
	// newest. Own: it starts with an RPC of its own.
	Held, Own bool
	// Resumable: RPCs can be opened at a cursor. Ordered: all of them send messages in the same
	// order, so that their logs may merge.
	Resumable, Ordered bool
	Place              Place
	// MaxEvents is how many frames of a log the client may have missed; 0 is any number. A client
	// that has missed more begins again, behind a gap.
	MaxEvents uint64
	// From is the client's address if it is the client's own, by which addresses make room fairly;
	// otherwise it is invalid.
	From netip.Addr
	// Admit is called, under the registry's lock, before a topic is made for the client, and its
	// error is Join's; nil admits every client. Move does not call it: the client did not ask for
	// it.
	Admit func() error
	// Parse returns the place of a client that comes back with a frame's id.
	Parse func(id string) Place
	// Open returns the parameters of a new topic whose log begins after a cursor, or with none. It
	// is called under the registry's lock, only if a topic is needed.
	Open  func(after []byte, catchUp bool) (epoch string, params Params)
	alone bool // it keeps others waiting, and gets a catch-up of its own

	// Starts is called, under the registry's lock, with the source of a topic whose RPC is about to
	// be opened or reopened because the client comes. It may be nil.
	Starts func(Source)

	// Joins is called, under the registry's lock, with the source of the topic that the client joins,
	// before that opens an RPC because of it. It may be nil.
	Joins func(Source)

	lost *Topic // the topic whose log has lost the place
}

// Place is where a client says that it stands. The zero Place is nowhere.
type Place struct {
	ID    string // as the frame's id is spelt
	Epoch string // the name of the log, if the id is a position
	Seq   uint64
	// Cursor is the value of the cursor in the id, nil if the id is a position. An id is CURSOR, or
	// CURSOR~N if several frames follow one cursor. Base is the id without ~N, and Ordinal is N: how
	// many frames after that of the cursor the client has.
	Cursor  []byte
	Base    string
	Ordinal uint64
	// Forgotten: the place is not in a log because its log, one of this bridge, has ended while the
	// client was away, or because no bridge wrote the id. Otherwise the log is another bridge's, or
	// was ended by a restart.
	Forgotten bool
	// TooOld: the client has missed more than it may be sent. It begins again, behind a gap.
	TooOld bool
}

// Start is how a subscription begins.
type Start int

// The starts.
const (
	Fresh   Start = iota // the client has no place
	Resumed              // at the client's place
	Missed               // the place cannot be had: at the oldest frame of the log
)

// Subscription is a client's hold on a topic.
type Subscription struct {
	// Topic is the topic that the client listens to.
	Topic *Topic
	// Position is where the client starts to read the topic's log.
	Position uint64
	// ID is the id of the frame at Position, as it was when the client was placed: the frame may be
	// gone by now. It is empty before the first frame, and where frames have no ids.
	ID    string
	Start Start
	// Missed is the reason, if Start is Missed.
	Missed reason.Gap
	// Absent: the client alone is the reason. It was away for longer than a topic without clients
	// lingers, or came with an id that no bridge wrote.
	Absent bool

	left     bool          // it has left Topic; guarded by the registry's lock
	opened   bool          // guarded by the registry's lock
	join     *Join         // nil once the client stays in its log whatever happens
	passes   atomic.Uint64 // how many frames that count from the cursor of join.Place are not sent; changed by the client
	registry *Registry
	breaks   int
	openedAt time.Duration // in the registry's time; guarded by its lock
	cut      func()        // see SetCut; guarded by the registry's lock

	reader
}

// Join makes a client listen to the topic that it belongs to, and opens the topic if there is none.
// The caller calls Leave once.
func (r *Registry) Join(join Join) (*Subscription, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrClosed
	}
	s := &Subscription{registry: r, join: &join}
	if err := s.enter(); err != nil {
		if s.Topic != nil {
			s.leave()
		}
		return nil, err
	}
	s.join.Admit, s.join.MaxEvents = nil, 0 // moving later is not a new beginning
	if !s.join.Resumable && s.passes.Load() == 0 {
		s.join = nil // and with it the request, of which there are many
	}
	return s, nil
}

// enter attaches the client to the topic that it belongs to, and detaches it from the one before.
// On an error the client stays where it is, or has left it.
func (s *Subscription) enter() error {
	s.join.Place.TooOld = s.join.Place.TooOld && !s.registry.missesNothing(s.join)
	for {
		t, err := s.registry.find(*s.join)
		if errors.Is(err, ErrFull) && s.Topic != nil && !s.left {
			s.leave() // its own topic may be the one that has to go
			continue
		}
		if err != nil {
			return err
		}
		if s.Topic != nil && !s.left {
			t.reg.clients++ // leaving a catch-up may release the last hold on main
			s.leave()
			t.reg.clients--
		}
		s.left = false
		s.registry.reopen(t)
		s.attach(t)
		switch {
		case s.Start == Resumed && s.join.MaxEvents > 0 && t.log.Newest()-s.Position > s.join.MaxEvents:
			s.join.Place.TooOld = true
		case s.Start == Missed && s.join.resumes():
			// The log has just dropped the cursor that was found in it: the client is placed in
			// another log, or a catch-up begins at the cursor.
		case s.Start == Missed && s.join.beginsAgain() && t.epoch == s.join.Place.Epoch:
			s.join.lost = t // another RPC begins
		default:
			s.join.lost = nil
			return nil
		}
	}
}

// anywhere returns the join of a client without a place.
func (j *Join) anywhere() Join {
	anywhere := *j
	anywhere.Place, anywhere.alone = Place{}, false
	return anywhere
}

// resumes reports whether the client can continue wherever its cursor is known.
func (j *Join) resumes() bool { return j.Resumable && j.Place.Cursor != nil && !j.Place.TooOld }

// beginsAgain reports whether the client begins again when its place has left its log. The log holds only
// the rest of a snapshot then, which is of no use: the client has an RPC of its own, and can have
// another one.
func (j *Join) beginsAgain() bool { return j.Own || j.Private && j.Resumable }

// attach makes the subscriber a client of a topic, and runs the topic's pump.
func (s *Subscription) attach(t *Topic) {
	s.Topic, s.breaks = t, t.Status().breaks
	s.join.Key = t.home.key // equal; one string for all
	t.readers.place(s)
	t.reg.clients++
	t.listening.Add(1)
	t.wakePump()
	// Only after the client is placed: a client that starts after the newest frame must not start
	// after the RPC's first message.
	if s.join.Joins != nil {
		s.join.Joins(t.params.Source)
	}
	if s.join.Starts != nil && t.Status().Phase == Opening && !t.member.runs() {
		s.join.Starts(t.params.Source)
	}
	s.registry.pumps.run(t)
}

// Pass returns the position behind the frames after a position that the client has already, by an
// ordinal of its id. more reports whether further ones may come.
func (s *Subscription) Pass(position uint64) (next uint64, more bool) {
	passes := s.passes.Load()
	if passes == 0 {
		return position, false
	}
	counted := s.join.Place.Base + "~"
	next, more = s.Topic.log.Pass(position, func(id string) bool {
		digits, ok := strings.CutPrefix(id, counted)
		ordinal, err := strconv.ParseUint(digits, 10, 64)
		return ok && err == nil && ordinal <= passes
	})
	if !more {
		s.passes.Store(0)
		s.Topic.readers.hasPassed(s)
	}
	return next, more
}

// Move places the client again, by its own id, when another log continues its log, or when the
// client is parted from its log. It returns false where the stream has ended. An error says that
// there is no room for another topic.
func (s *Subscription) Move() (bool, error) {
	r := s.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	from := s.Topic
	switch {
	case s.Parted():
		s.join.Place, s.join.alone = s.placeAgain()
	case !from.member.isMerged():
		return false, nil
	case s.passes.Load() == 0:
		_, head := from.log.Bounds()
		s.join.Place = s.join.Parse(from.log.ID(head))
	}
	if r.closed {
		return false, ErrClosed
	}
	if err := s.enter(); err != nil {
		return false, err
	}
	s.join.alone = false
	s.arrives()
	s.Topic.reg.opened = s.Topic.reg.opened || s.opened
	return true, nil
}

// Source returns the source of the topic's RPCs.
func (t *Topic) Source() Source { return t.params.Source }

// Log returns the topic's log.
func (s *Subscription) Log() *replay.Log { return s.Topic.log }

// Opened notes that the client is being sent its stream-open, so that it may come back: its topic
// lingers from now on.
func (s *Subscription) Opened() {
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	s.opened, s.openedAt, s.Topic.reg.opened = true, s.registry.now(), true
}

// SetCut sets the function that ends the client's stream at once. It is called when the client's
// log retains too much memory because the client reads nothing. It is called under the registry's
// lock and must not wait.
func (s *Subscription) SetCut(cut func()) {
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	s.cut = cut
}

// ToldToLeave reports whether the topic broke since the client joined.
func (s *Subscription) ToldToLeave(status *Status) bool { return status.breaks > s.breaks }

// Leave ends the subscription. When the last one leaves, the topic lingers.
func (s *Subscription) Leave() {
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	s.leave()
}

func (s *Subscription) leave() {
	if s.left {
		return
	}
	s.left = true
	t := s.Topic
	t.reg.settled = t.reg.settled || s.opened && s.registry.now()-s.openedAt >= settles
	t.listening.Add(-1)
	t.readers.remove(s)
	s.registry.idle.release(t)
}
