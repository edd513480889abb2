package topic

import (
	"slices"
	"sync/atomic"
	"time"
)

// relief takes memory back from logs that retain frames for readers, where they have more than
// their share.
type relief struct {
	*Registry

	// When relieve last looked at all topics, and when relieveFor last did so in vain; by the
	// registry's time.
	relieved, vain atomic.Int64
}

// keeper is a topic whose log retains frames for readers.
type keeper struct {
	topic  *Topic
	memory int64
	since  time.Duration // how long its readers have taken nothing
}

// relieve takes memory back where retained frames have more than their share: first from topics
// without clients, then from clients that have taken nothing for a while, the largest first, and
// from any client only where the share is far exceeded. It cuts such a client, which would not read
// a last block either; the client reconnects by itself.
func (l *relief) relieve() {
	if !l.budget.RetainedOver() {
		return // the usual case, after each message and each write to a client
	}
	now := l.now()
	if now < time.Duration(l.relieved.Load())+relieveAgain {
		return
	}
	l.relieved.Store(int64(now))
	l.relieveWhere(func(k keeper) bool {
		return l.budget.RetainedFarOver() || l.budget.RetainedOver() && (k.topic.reg.clients == 0 || k.since >= patience)
	})
}

// relieveFor takes memory back for a pump that has waited for room for so many bytes, beside those
// that its log retains. It cuts clients that have been stuck for long even where retained frames
// are within their share. If the pump's log would retain no more than its equal part, clients whose
// logs retain more than theirs are cut sooner.
func (l *relief) relieveFor(kept, wanted int64) {
	l.relieve()
	small := kept+wanted <= l.budget.Share()
	if now := l.now(); !small && now < time.Duration(l.vain.Load())+relieveAgain {
		return // another pump has just looked in vain for such clients
	}
	found := l.relieveWhere(func(k keeper) bool {
		least := stuckAfter
		if small && k.memory > l.budget.Share() {
			least = stuckLarge
		}
		return !l.budget.CanReserve(kept, wanted) && (k.topic.reg.clients == 0 || k.since >= least)
	})
	if !found && !small {
		l.vain.Store(int64(l.now()))
	}
}

// relieveWhere takes the memory of the keepers that pass, one after the other, and asks again for
// each. It reports whether one passed.
func (l *relief) relieveWhere(pass func(keeper) bool) (found bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	for _, k := range l.keepers() {
		if pass(k) {
			l.relieveOf(k.topic)
			found = true
		}
	}
	return found
}

// keepers returns the topics that retain frames, in the order in which they give them up.
func (l *relief) keepers() []keeper {
	var all []keeper
	for _, f := range l.families {
		for _, t := range f.topics {
			if memory, since := t.log.PinnedIdle(); memory > 0 {
				all = append(all, keeper{t, memory, since})
			}
		}
	}
	rank := func(k keeper) int {
		switch {
		case k.topic.reg.clients == 0:
			return 0
		case k.since >= patience:
			return 1
		}
		return 2
	}
	slices.SortFunc(all, func(a, b keeper) int {
		if by := rank(a) - rank(b); by != 0 {
			return by
		}
		return int(min(max(b.memory-a.memory, -1), 1))
	})
	return all
}

// relieveOf ends a private topic. Of another topic it cuts the readers that keep the log from
// dropping what all others have.
func (l *relief) relieveOf(t *Topic) {
	if t.reg.clients == 0 {
		l.idle.evict(t, evictedBytes)
		return
	}
	t.readers.mu.Lock()
	readers := slices.Clone(t.readers.all)
	t.readers.mu.Unlock()
	if t.role() != privateRole {
		least := ^uint64(0)
		for _, s := range readers {
			least = min(least, t.readers.progress(s))
		}
		readers = slices.DeleteFunc(readers, func(s *Subscription) bool { return t.readers.progress(s) > least })
	}
	for _, s := range readers {
		if s.cut != nil {
			s.cut()
		}
	}
	if t.role() == privateRole {
		l.end(t)
		return
	}
	for _, s := range readers {
		t.readers.remove(s)
	}
}

// progress returns how far a client has read.
func (r *readers) progress(s *Subscription) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return s.read
}

// reclaim makes room where all logs together have more memory than they may.
func (r *Registry) reclaim() {
	r.relief.relieve()
	if !r.budget.Over() {
		return
	}
	r.mu.Lock()
	for r.budget.Over() {
		oldest := r.idle.oldest()
		if oldest == nil {
			break
		}
		r.idle.evict(oldest, evictedBytes)
	}
	r.mu.Unlock()
	for r.budget.Over() && r.budget.Trim() {
		r.counts.Trims.Add(1)
	}
}
