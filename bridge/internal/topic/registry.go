package topic

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// ErrFull says that there are as many topics as the limit allows, and that
// clients listen to all of them.
var ErrFull = errors.New("topic: the limit of topics is reached")

// ErrClosed says that the registry is closed.
var ErrClosed = errors.New("topic: closed")

// Limits bound a registry.
type Limits struct {
	Topics int // at once; at least 1
	Idle   int // lingering at once; the least recently used goes first; at least 1
	// Bytes is the memory of all logs; at least 1. Beyond it idle topics go
	// first, then the oldest frames of the largest log.
	Bytes int64
}

// Registry holds all topics of a bridge and knows which clients share which. Its
// methods are safe for concurrent use.
type Registry struct {
	limits Limits
	counts *Counts
	pumps  sync.WaitGroup
	budget *replay.Budget
	began  time.Time
	lanes  lanes
	// When relieve last looked at all topics, and relieveFor for nothing; by the
	// registry's time.
	relieved, vain atomic.Int64

	mu       sync.Mutex
	families map[string]*family
	topics   int // those not gone, but for those of retired owners
	idle     *simplelru.LRU[*Topic, struct{}]
	briefs   briefs // among the idle ones
	lapsed   lapsed // the keys of topics that have ended
	closed   bool
}

// NewRegistry returns an empty registry. Close it.
func NewRegistry(limits Limits) *Registry {
	return &Registry{
		limits: limits, counts: newCounts(), families: map[string]*family{}, budget: replay.NewBudget(limits.Bytes),
		idle: newIdle(limits.Idle), briefs: newBriefs(), began: time.Now(), lanes: newLanes(),
	}
}

// Close ends all RPCs and returns when their pumps have.
func (r *Registry) Close() {
	r.mu.Lock()
	r.closed = true
	for _, f := range r.families {
		for _, t := range f.topics {
			t.halt()
			if t.linger != nil {
				t.linger.Stop()
			}
		}
	}
	r.mu.Unlock()
	r.pumps.Wait()
}

// Topics returns how many topics there are, lingering ones included, and those
// of retired owners not.
func (r *Registry) Topics() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.topics
}

// find returns the topic that a client with the given place in mind is to
// listen to, making it if need be. Its pump is not started yet.
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
		t.holdMain()
	}
	r.lean(t, join)
	return t, nil
}

// lean gives a catch-up a main log to meet, and keeps that one while it runs.
func (r *Registry) lean(t *Topic, join Join) {
	if t.role() != catchUpRole || !t.home.meets {
		return
	}
	if t.apart {
		t.wish = &join
	}
	main := t.home.main
	if main != nil && t.apart && main.finished() {
		main = nil // only slow clients would have RPCs, and for good
	}
	if main == nil && r.makeRoom() == nil {
		main = r.open(join.anywhere())
		main.opened = true // its clients are those of the catch-up
	}
	if main != nil {
		r.revive(main)
		main.share()
		main.clients++
		t.leansOn = main
		r.run(main)
	}
}

// revive ends a topic's lingering, and lets one that is broken open its RPC again.
func (r *Registry) revive(t *Topic) {
	r.wake(t)
	if t.Status().Phase == Broken && !t.isMerged() {
		t.mend()
		t.update(func(s *Status) { s.Phase, s.Err, s.Placed = Opening, nil, false })
	}
}

// run starts the topic's pump where it is to have one.
func (r *Registry) run(t *Topic) {
	switch {
	case t.Status().Phase != Opening:
	case !t.runs():
		r.start(t)
	case t.isMerged(): // maybe before it had a pump, which would say so
		t.update(goesOn)
	}
}

// wake ends a topic's lingering.
func (r *Registry) wake(t *Topic) {
	if t.linger != nil {
		t.linger.Stop()
		r.idle.Remove(t)
		r.briefs.topics.Remove(t)
		delete(t.home.resting, t)
	}
}

// choose returns the family's topic for a client whose log is not known by its
// name, or nil where a new one is to be made.
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
	t.apart = join.alone && role == catchUpRole
	t.from = join.From
	f.add(t)
	r.count(t, 1)
	return t
}

func (t *Topic) finished() bool { return t.Status().Phase == Finished }

// makeRoom ends an idle topic if the limit is reached: a brief one, or that which has
// been idle longest.
func (r *Registry) makeRoom() error {
	if r.topics < r.limits.Topics {
		return nil
	}
	oldest := r.oldestIdle()
	if oldest == nil {
		return ErrFull
	}
	r.evict(oldest, evictedTopics)
	return nil
}

// reclaim makes room where all logs together have more memory than they may.
func (r *Registry) reclaim() {
	r.relieve()
	if !r.budget.Over() {
		return
	}
	r.mu.Lock()
	for r.budget.Over() {
		oldest := r.oldestIdle()
		if oldest == nil {
			break
		}
		r.evict(oldest, evictedBytes)
	}
	r.mu.Unlock()
	for r.budget.Over() && r.budget.Trim() {
		r.counts.Trims.Add(1)
	}
}

// Bytes returns the memory of all logs.
func (r *Registry) Bytes() int64 { return r.budget.Used() }

// KeptBytes returns the memory of the frames that logs keep for their readers.
func (r *Registry) KeptBytes() int64 { return r.budget.Held() }

// start runs the topic's pump.
func (r *Registry) start(t *Topic) {
	ctx, stop := context.WithCancel(context.Background())
	t.home.mu.Lock()
	t.stop = stop
	t.home.mu.Unlock()
	r.pumps.Go(func() { t.pump(ctx, r) })
}

// halt ends the topic's pump, if one runs.
func (t *Topic) halt() {
	t.home.mu.Lock()
	defer t.home.mu.Unlock()
	t.haltLocked()
}

func (t *Topic) haltLocked() {
	if t.stop != nil {
		t.stop()
	}
}

// stopped is the pump's last act: with the status that says why, it leaves the
// topic to the next client that joins, or to its end.
func (r *Registry) stopped(t *Topic, change func(*Status)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stoppedLocked(t, change)
}

// unwanted stops the pump of a topic that lingers without a client, instead of
// opening its RPC again: an RPC that harms the backend would be repeated without a
// reader. The first client to come back has it opened.
func (r *Registry) unwanted(t *Topic) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.clients > 0 {
		return false
	}
	r.stoppedLocked(t, func(s *Status) { s.Phase, s.Placed, s.Stale = Broken, false, false })
	return true
}

// goesOn is the status of a topic that is merged. The log it is merged into has an
// RPC, and messages: its clients need not wait for either.
func goesOn(s *Status) {
	s.Phase, s.Err, s.Placed, s.Stale, s.Messages = Live, nil, true, false, true
}

func (r *Registry) stoppedLocked(t *Topic, change func(*Status)) {
	t.home.mu.Lock()
	t.haltLocked()
	t.stop = nil
	merged := t.merged
	t.home.mu.Unlock()
	if merged {
		change = goesOn
	}
	t.update(change)
	r.mainStopped(t)
}

// rest lets a topic without clients linger. A catch-up whose ids are all cursors
// need not: a client that comes back with one opens another.
func (r *Registry) rest(t *Topic) {
	linger := t.params.Linger
	if r.closed || t.home.owner.isRetired() || t.params.Abandon || !t.opened || linger <= 0 || t.disposable() {
		r.end(t)
		return
	}
	if r.idle.Len() >= r.limits.Idle {
		r.evict(r.oldestIdle(), evictedIdle)
	}
	if t.isMerged() { // a client that comes back only reads on in it
		r.unlean(t)
	}
	t.turn.Load().giveBack() // it may linger for long
	r.idle.Add(t, struct{}{})
	if t.role() == privateRole {
		t.home.resting[t] = struct{}{}
	}
	t.rests++
	rest := t.rests
	t.linger = time.AfterFunc(linger, func() { r.lingered(t, rest) })
	r.restBrief(t)
}

// disposable reports whether all of a topic's clients can resume elsewhere: none
// can have a position in its log, which begins after a cursor and has no gap
// that ended the counting from it.
func (t *Topic) disposable() bool {
	if t.role() != catchUpRole {
		return false
	}
	t.home.mu.Lock()
	defer t.home.mu.Unlock()
	return t.start != "" && t.gapAt == 0 && (t.merged || !t.finished())
}

// isMerged reports whether another log goes on from here.
func (t *Topic) isMerged() bool {
	t.home.mu.Lock()
	defer t.home.mu.Unlock()
	return t.merged
}

// release gives up a hold on a topic.
func (r *Registry) release(t *Topic) {
	t.clients--
	if t.clients == 0 && !t.gone {
		r.rest(t)
	}
}

// lingered ends a topic whose time is up, unless a client came in between, even if
// it has left again.
func (r *Registry) lingered(t *Topic, rest int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.clients == 0 && t.rests == rest {
		r.end(t)
	}
}

// end takes a topic out of the registry and ends its RPC. Clients that are
// still attached keep its log.
func (r *Registry) end(t *Topic) {
	if t.gone {
		return
	}
	t.gone = true
	r.count(t, -1)
	defer r.unlean(t)
	r.idle.Remove(t)
	r.briefs.topics.Remove(t)
	if t.linger != nil {
		t.linger.Stop()
	}
	f := t.home
	if _, id := t.log.Head(); id != "" && t.opened && !f.owner.isRetired() {
		r.lapsed.add(f.key) // clients may come back with its ids
	}
	f.remove(t)
	t.log.Discard()
	if t.params.Ended != nil {
		t.params.Ended()
	}
	if len(f.topics) == 0 {
		delete(r.families, f.key)
	}
}
