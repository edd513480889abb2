package topic

import "github.com/ssebridge/ssebridge/bridge/internal/reason"

// This file decides in which log a client is placed, and where in it; docs/resuming.md has the
// rules as a table. In this order: the log that the client's id names; main, a catch-up or a
// private topic that holds the client's cursor; a catch-up that was opened at the same cursor;
// main, for a client without a place; a new log.

// find returns the topic for a client to join, and makes it if there is none. Its pump need not run
// yet.
func (r *Registry) find(join Join) (*Topic, error) {
	if f := r.families[join.Key]; f != nil {
		if t := f.byEpoch(join.Place.Epoch); t != nil && t != join.lost && !join.Place.TooOld {
			return t, nil
		}
		if t := f.choose(join); t != nil {
			return t, nil
		}
	}
	if join.Admit != nil {
		if err := join.Admit(); err != nil {
			return nil, err
		}
	}
	if err := r.makeRoom(); err != nil {
		return nil, err
	}
	t := r.open(join)
	if t.role() == mainRole && join.Own {
		t.readers.retainMain()
	}
	r.mains.ensure(t, join)
	return t, nil
}

// choose returns the topic for a client whose id does not name a log, or nil where a new topic is
// needed.
func (f *family) choose(join Join) *Topic {
	resumes := join.resumes()
	if !resumes || join.Ordered {
		if t := f.byCursor(join.Place, join.alone); t != nil {
			return t
		}
	}
	switch {
	case join.Private, join.alone:
		return nil
	case resumes:
		return f.sharing(join.Place)
	case join.Own:
		return nil
	}
	if t := f.main; t != nil && !t.finished() {
		return t
	}
	return nil
}

// byEpoch returns the topic whose log has this name, or nil.
func (f *family) byEpoch(epoch string) *Topic { return f.topics[epoch] }

// byCursor returns a topic whose log continues from a place, or nil: main first, unless its stream
// has ended, then catch-ups, then private topics without a client. A client that is alone never
// shares a log that waits for its readers.
func (f *family) byCursor(place Place, alone bool) *Topic {
	if main := f.main; main != nil && (!alone || main.member.takesSlow()) && main.holds(place) {
		return main
	}
	if !f.meets {
		return nil
	}
	if t := f.catchUp(place); t != nil && !alone && t.holds(place) {
		return t
	}
	for t := range f.resting {
		if t.holds(place) {
			return t
		}
	}
	return nil
}

// sharing returns a catch-up that was opened at the place's cursor and still holds everything that
// came, or nil.
func (f *family) sharing(place Place) *Topic {
	t := f.catchUp(Place{ID: place.Base})
	if t == nil || t.start != place.Base {
		return nil
	}
	if floor, _ := t.log.Bounds(); floor > 0 {
		return nil
	}
	return t
}

// catchUp returns a catch-up that takes clients and probably holds the place, or nil.
func (f *family) catchUp(place Place) *Topic {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range []string{place.ID, place.Base} {
		if t := f.index.holders[id]; t != nil && t.Status().Phase < Broken {
			return t
		}
	}
	return nil
}

// open makes a topic.
func (r *Registry) open(join Join) *Topic {
	f := r.families[join.Key]
	if f == nil {
		f = newFamily(join)
		r.families[join.Key] = f
	}
	role, start := mainRole, ""
	switch {
	case join.Private:
		role = privateRole
	case join.resumes():
		role = catchUpRole
	case join.Own && f.main != nil && !f.main.finished():
		role = catchUpRole
	}
	var after []byte
	if join.resumes() {
		start, after = join.Place.Base, join.Place.Cursor
	}
	epoch, params := join.Open(after, role == catchUpRole)
	params.Log.Budget = r.budget
	t := newTopic(epoch, role, start, f, params)
	t.registry = r
	t.member.apart = join.alone && role == catchUpRole
	t.reg.from = join.From
	f.add(t)
	r.count(t, 1)
	return t
}

// reopen ends a topic's lingering, and lets a broken one open its RPC again.
func (r *Registry) reopen(t *Topic) {
	r.idle.wake(t)
	if t.Status().Phase == Broken && !t.member.isMerged() {
		t.pump.noteLoss()
		t.update(func(s *Status) { s.Phase, s.Err, s.Placed = Opening, nil, false })
	}
}

// place finds the position at which a client starts. A retained log keeps its frames for the client
// from there on. The client may stand further back than what was written to it before its
// connection was cut.
func (r *readers) place(s *Subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.reader = reader{}
	if !r.retained() {
		s.place()
		return
	}
	r.log.Release(0) // the log drops nothing while the client is placed
	s.place()
	s.read, s.began, s.stood = s.Position, s.Position, s.Position
	if passes := s.passes.Load(); passes > 0 {
		s.skips = true
		r.skippers++
		r.skips.Store(max(r.skips.Load(), s.Position+passes))
	}
	if place := s.join.Place; place.Epoch == r.epoch && place.Seq < s.stood {
		s.stood = place.Seq
	}
	// Whether the client is slow is unknown until its first block has been written.
	s.holds, s.writing, s.target = true, true, s.Position
	s.headAt = r.stall.samples
	s.at = len(r.all)
	r.all = append(r.all, s)
	r.shared = r.shared || len(r.all) > 1
	r.release()
	r.stall.watchStall()
}

// place finds the position at which the client starts.
func (s *Subscription) place() {
	log, place := s.Topic.log, s.join.Place
	floor, head := log.Bounds()
	s.passes.Store(0)
	s.Missed, s.Absent = "", false
	switch {
	case place.ID == "", place.TooOld:
		if s.Position, s.ID = log.Head(); s.join.Held {
			s.Position, s.ID = log.Floor()
		}
		if s.Start = Fresh; place.TooOld {
			s.Start, s.Missed, s.Absent = Missed, reason.GapExpired, true
		}
		return
	case place.Epoch == "":
		if position, passed, ok := s.Topic.locate(place); ok {
			s.Start, s.Position = Resumed, position
			s.passes.Store(passed)
			return
		}
	case place.Epoch == s.Topic.epoch && place.Seq >= floor && place.Seq <= head:
		s.Start, s.Position = Resumed, place.Seq
		return
	}
	s.Start = Missed
	s.Position, s.ID = log.Floor()
	s.explain()
}

// holds reports whether the log has the place, or the cursor from which the place counts.
func (t *Topic) holds(place Place) bool {
	if place.ID == "" || place.Epoch != "" || place.TooOld {
		return false
	}
	_, _, ok := t.locate(place)
	return ok
}

// locate returns the position of a place in the log. passed is how many of the frames that count
// from the place's cursor the client has already, and is not to be sent again.
func (t *Topic) locate(place Place) (position, passed uint64, ok bool) {
	if position, ok = t.log.Find(place.ID); ok {
		return position, 0, true
	}
	if place.Ordinal > 0 {
		if position, ok = t.log.Find(place.Base); ok {
			return position, place.Ordinal, true
		}
	}
	return 0, 0, false
}

// missesNothing reports whether nothing has followed the client's place in a running log. On a
// quiet stream such a place is old, and the client has missed nothing all the same. The log may
// also be the private one that the same client has just left, if its old connection is not known to
// be dead.
func (r *Registry) missesNothing(join *Join) bool {
	f, place := r.families[join.Key], join.Place
	if f == nil || !f.meets {
		return false
	}
	place.TooOld = false
	if f.privateAt(place.ID) {
		return true
	}
	t := f.byCursor(place, false)
	if t == nil || t.Status().Phase != Live {
		return false
	}
	position, passed, ok := t.locate(place)
	return ok && passed == 0 && position == t.log.Newest()
}

// privateAt reports whether a private topic with a running RPC has this id as its newest.
func (f *family) privateAt(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for t := f.privates.standing[id]; t != nil; t = t.member.entry.next {
		if t.Status().Phase == Live {
			return true
		}
	}
	return false
}

// explain finds the reason why the client cannot start at its place.
func (s *Subscription) explain() {
	t, place := s.Topic, s.join.Place
	if from := t.home.byEpoch(place.Epoch); from != nil {
		t = from // the log that has lost the place
	}
	floor, _ := t.log.Bounds()
	switch here := place.Epoch == t.epoch; {
	case here && place.Seq < floor, place.Epoch == "" && !place.Forgotten && floor > 0:
		s.Missed, s.Absent = reason.GapExpired, t.log.DroppedAge() >= t.params.Linger
	case here, place.Forgotten, place.Epoch == "" && s.registry.lapsed.has(t.home.key):
		s.Missed, s.Absent = reason.GapForgotten, true
	default:
		s.Missed = reason.GapRestarted
	}
}
