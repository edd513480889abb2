package topic

import (
	"slices"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// Join is a client's wish to listen.
type Join struct {
	// Key tells requests apart that a backend could tell apart.
	Key string
	// Private: a topic per client, found again by its epoch.
	Private bool
	// Held starts a client without a place at the oldest frame held instead
	// of after the newest.
	Held  bool
	Place Place
	// Open says how a new topic runs; called only where one is needed, under
	// the registry's lock.
	Open func() (epoch string, params Params)
}

// Place is where a client says it stands. The zero Place is nowhere.
type Place struct {
	ID    string // as the frame's id is spelt
	Epoch string // set if the id is a position in a log
	Seq   uint64
}

// Start is how a subscription begins.
type Start int

// The starts.
const (
	Fresh   Start = iota // a client without a place
	Resumed              // at its place
	Missed               // its place is not to be had: from the oldest frame held
)

// Why a subscription that began with Missed could not resume.
const (
	MissedExpired   = "expired"   // the place has fallen out of the log
	MissedRestarted = "restarted" // no log has, or ever had, the place
)

// Subscription is a client's hold on a topic.
type Subscription struct {
	// Topic is whom the client listens to.
	Topic *Topic
	// Position is where the client starts to read the topic's log.
	Position uint64
	// ID is the id of the frame at Position, as it was when the client was
	// placed: the frame may be gone by now. It is empty before the first frame,
	// and where frames have none.
	ID    string
	Start Start
	// Missed says why, where Start is Missed.
	Missed string

	registry *Registry
	breaks   int
	read     uint64 // how far a private topic's client has got; guarded by readersMu
}

// Join attaches a client to the topic that it is to listen to, opening the
// topic if there is none. The caller calls Leave once.
func (r *Registry) Join(join Join) (*Subscription, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrClosed
	}
	t, err := r.find(join)
	if err != nil {
		return nil, err
	}
	if t.linger != nil {
		t.linger.Stop()
		r.idle.Remove(t)
	}
	if t.Status().Phase == Broken {
		t.tellGap(t.gapDue)
		t.update(func(s *Status) { s.Phase, s.Err, s.Placed = Opening, nil, false })
	}
	s := &Subscription{Topic: t, registry: r, breaks: t.Status().breaks}
	if t.private {
		t.attach(s, join)
	} else {
		s.place(join)
	}
	t.clients++
	t.listening.Add(1)
	t.wakePump()
	if t.stop == nil && t.Status().Phase == Opening {
		// Only now that its client is placed: one that starts after the
		// newest frame must not start after the RPC's first message.
		r.start(t)
	}
	return s, nil
}

// place finds the position at which the client starts.
func (s *Subscription) place(join Join) {
	log, place := s.Topic.log, join.Place
	floor, head := log.Bounds()
	switch {
	case place.ID == "":
		s.Start = Fresh
		if s.Position, s.ID = log.Head(); join.Held {
			s.Position, s.ID = log.Floor()
		}
		return
	case place.Epoch == "":
		if position, ok := log.Find(place.ID); ok {
			s.Start, s.Position = Resumed, position
			return
		}
	case place.Epoch == s.Topic.epoch && place.Seq >= floor && place.Seq <= head:
		s.Start, s.Position = Resumed, place.Seq
		return
	}
	s.Start, s.Missed = Missed, MissedRestarted
	s.Position, s.ID = log.Floor()
	if floor > 0 && (place.Epoch == "" || place.Epoch == s.Topic.epoch && place.Seq < floor) {
		s.Missed = MissedExpired
	}
}

// Log returns the topic's log.
func (s *Subscription) Log() *replay.Log { return s.Topic.log }

// Opened says that the client is being sent its stream-open, so that it may
// come back: its topic lingers from now on.
func (s *Subscription) Opened() {
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	s.Topic.opened = true
}

// ToldToLeave reports whether the topic broke since the client joined.
func (s *Subscription) ToldToLeave(status *Status) bool { return status.breaks > s.breaks }

// Progress says how far the client has read. A private topic's pump waits for
// it; of several clients with the same id, the newest counts.
func (s *Subscription) Progress(position uint64) {
	if !s.Topic.private {
		return
	}
	t := s.Topic
	t.readersMu.Lock()
	defer t.readersMu.Unlock()
	s.read = position
	t.hold()
}

// attach places a private topic's client and holds the log for it from there:
// it may stand further back than what was written to it before it was cut.
func (t *Topic) attach(s *Subscription, join Join) {
	t.readersMu.Lock()
	defer t.readersMu.Unlock()
	t.log.Release(0) // nothing goes while it is placed
	s.place(join)
	s.read = s.Position
	t.readers = append(t.readers, s)
	t.hold()
}

// detach holds the log for who is left.
func (t *Topic) detach(s *Subscription) {
	t.readersMu.Lock()
	defer t.readersMu.Unlock()
	t.readers = slices.DeleteFunc(t.readers, func(other *Subscription) bool { return other == s })
	t.hold()
}

// hold keeps in the log what the newest reader has not got.
func (t *Topic) hold() {
	if len(t.readers) == 0 {
		return
	}
	t.log.Release(t.readers[len(t.readers)-1].read)
	t.wakePump()
}

// Leave ends the subscription. The last one to leave lets the topic linger.
func (s *Subscription) Leave() {
	r, t := s.registry, s.Topic
	r.mu.Lock()
	defer r.mu.Unlock()
	t.clients--
	t.listening.Add(-1)
	if t.private {
		t.detach(s)
	}
	if t.clients == 0 && !t.gone {
		r.rest(t)
	}
}
