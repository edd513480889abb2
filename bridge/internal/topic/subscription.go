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

// Join is a client's wish to listen.
type Join struct {
	// Key tells requests apart that a backend could tell apart but for where
	// they resume.
	Key string
	// Owner is what the topic belongs to; nil: nothing.
	Owner *Owner
	// Private: a topic per client.
	Private bool
	// Held starts a client without a place at the oldest frame held instead
	// of after the newest; Own with an RPC of its own.
	Held, Own bool
	// Resumable: RPCs can be opened at a cursor. Ordered: all of them give the
	// same order, so that they may merge.
	Resumable, Ordered bool
	Place              Place
	// MaxEvents is how many frames of a log the client may have missed; 0 is any
	// number. One that has missed more begins anew.
	MaxEvents uint64
	// From is the address of the client where it is the client's own, to be fair among
	// addresses whose topics have to make room; else it is invalid.
	From netip.Addr
	// Admit is asked before a topic is made for the client, and its error is Join's;
	// nil admits every client. It is called under the registry's lock, and not by
	// Move, which the client did not ask for.
	Admit func() error
	// Parse reads the id of a frame as that of a client that comes back with it.
	Parse func(id string) Place
	// Open says how a new topic runs whose log begins after a cursor, or with
	// none; called only where one is needed, under the registry's lock.
	Open  func(after []byte, catchUp bool) (epoch string, params Params)
	alone bool // the client keeps others waiting: it is to have a catch-up of its own

	// Starts is called with the source of a topic whose RPC is opened, or opened
	// again, because the client comes; under the registry's lock, before the
	// opening. It may be nil.
	Starts func(Source)

	lost *Topic // has lost the place
}

// Place is where a client says it stands. The zero Place is nowhere.
type Place struct {
	ID    string // as the frame's id is spelt
	Epoch string // set if the id is a position in a log
	Seq   uint64
	// Cursor is set if the id is a cursor, Base is then the cursor's own id,
	// and Ordinal the number of frames after it that the client has got.
	Cursor  []byte
	Base    string
	Ordinal uint64
	// Forgotten says why no log holds the place: its log, one of this bridge, has
	// ended while the client was away, or no bridge wrote the id. Otherwise the log
	// is another bridge's, or ended by a restart.
	Forgotten bool
	// TooOld says that the client has missed more than it is to be sent. It begins
	// anew, behind a gap.
	TooOld bool
}

// Start is how a subscription begins.
type Start int

// The starts.
const (
	Fresh   Start = iota // a client without a place
	Resumed              // at its place
	Missed               // its place is not to be had: from the oldest frame held
)

// Subscription is a client's hold on a topic.
type Subscription struct {
	// Topic is the topic that the client listens to.
	Topic *Topic
	// Position is where the client starts to read the topic's log.
	Position uint64
	// ID is the id of the frame at Position, as it was when the client was
	// placed: the frame may be gone by now. It is empty before the first frame,
	// and where frames have none.
	ID    string
	Start Start
	// Missed says why, where Start is Missed.
	Missed reason.Gap
	// Absent is set where the client alone is the reason: it was away for longer
	// than a topic without clients lasts, or came with an id that no bridge wrote.
	Absent bool

	join     *Join         // nil once the client stays in its log, come what may
	left     bool          // Topic has been left; guarded by the registry's lock
	passes   atomic.Uint64 // frames that count from the cursor of join.Place and are not sent; changed by the client
	registry *Registry
	breaks   int
	opened   bool          // guarded by the registry's lock
	openedAt time.Duration // of the registry's time; the same
	cut      func()        // see SetCut; guarded by the registry's lock

	reader
}

// Join attaches a client to the topic that it is to listen to, opening the
// topic if there is none. The caller calls Leave once.
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
	s.join.Admit, s.join.MaxEvents = nil, 0 // where it moves later is no new beginning
	if !s.join.Resumable && s.passes.Load() == 0 {
		s.join = nil // and with it the request, of which there are many
	}
	return s, nil
}

// enter attaches the subscriber to the topic that it is to listen to, and takes it
// away from the one before. On an error it stays where it is, or has
// left it.
func (s *Subscription) enter() error {
	s.join.Place.TooOld = s.join.Place.TooOld && !s.registry.missesNothing(s.join)
	for {
		t, err := s.registry.find(*s.join)
		if errors.Is(err, ErrFull) && s.Topic != nil && !s.left {
			s.leave() // its own may be the one that has to go
			continue
		}
		if err != nil {
			return err
		}
		if s.Topic != nil && !s.left {
			t.reg.clients++ // leaving a catch-up may have dropped the last client of main
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
			// The pump has pushed the cursor out of the log in which it was found: now
			// it is found elsewhere, or a catch-up begins there.
		case s.Start == Missed && s.join.anew() && t.epoch == s.join.Place.Epoch:
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

// resumes reports whether the client can go on wherever its cursor is known.
func (j *Join) resumes() bool { return j.Resumable && j.Place.Cursor != nil && !j.Place.TooOld }

// anew reports whether the client begins anew where its place has left its log. The
// log holds only the rest of a snapshot then, which is of no use: the client has an
// RPC of its own, and can have another one.
func (j *Join) anew() bool { return j.Own || j.Private && j.Resumable }

// attach makes the subscriber a client of a topic, and sees to it that the topic
// has a pump.
func (s *Subscription) attach(t *Topic) {
	s.Topic, s.breaks = t, t.Status().breaks
	s.join.Key = t.home.key // the same; one for all
	t.readers.place(s)
	t.reg.clients++
	t.listening.Add(1)
	t.wakePump()
	// Only now that its client is placed: one that starts after the newest
	// frame must not start after the RPC's first message.
	if s.join.Starts != nil && t.Status().Phase == Opening && !t.member.runs() {
		s.join.Starts(t.params.Source)
	}
	s.registry.pumps.run(t)
}

// Pass returns the position behind those frames after a position that the
// client has got already, by an ordinal of its id. more is true as long as
// further ones may come.
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

// Move places the client anew, by its own id, where its log has ended because
// another one goes on from there, or where the client is parted from its log. It is
// false where the stream has ended; an error says that there is no room for
// another topic.
func (s *Subscription) Move() (bool, error) {
	r := s.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	from := s.Topic
	switch {
	case s.Parted():
		s.join.Place, s.join.alone = s.placeAnew()
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

// Source returns what the topic's RPCs come from.
func (t *Topic) Source() Source { return t.params.Source }

// Log returns the topic's log.
func (s *Subscription) Log() *replay.Log { return s.Topic.log }

// Opened says that the client is being sent its stream-open, so that it may
// come back: its topic lingers from now on.
func (s *Subscription) Opened() {
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	s.opened, s.openedAt, s.Topic.reg.opened = true, s.registry.now(), true
}

// SetCut sets the function that ends the client's stream at once, where its log
// keeps too much for it while it takes nothing. It is called while the registry is
// locked, and must not wait.
func (s *Subscription) SetCut(cut func()) {
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	s.cut = cut
}

// ToldToLeave reports whether the topic broke since the client joined.
func (s *Subscription) ToldToLeave(status *Status) bool { return status.breaks > s.breaks }

// Leave ends the subscription. The last one to leave lets the topic linger.
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
