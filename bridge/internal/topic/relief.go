package topic

import (
	"slices"
	"sync/atomic"
	"time"
)

// relief takes memory back from logs that keep frames for readers, where they have more than
// their share.
type relief struct {
	*Registry

	// When relieve last looked at all topics, and relieveFor for nothing; by the registry's time.
	relieved, vain atomic.Int64
}

// keeper is a topic whose log keeps frames for readers that have not got them.
type keeper struct {
	topic  *Topic
	memory int64
	since  time.Duration // for how long its readers have taken nothing
}

// relieve gives back memory of frames that are kept for readers, where these have
// more than their share: first that of topics without clients, then that of clients
// that have taken nothing for a while, the largest first, and that of any client
// only where it is far above the share. Such a client is cut, since it would not
// read a last block either; it comes back by itself.
func (l *relief) relieve() {
	if !l.budget.HeldOver() {
		return // as after most messages, and most writes to a client
	}
	now := l.now()
	if now < time.Duration(l.relieved.Load())+relieveAgain {
		return
	}
	l.relieved.Store(int64(now))
	l.relieveWhere(func(k keeper) bool {
		return l.budget.HeldFarOver() || l.budget.HeldOver() && (k.topic.reg.clients == 0 || k.since >= patience)
	})
}

// relieveFor does so for a pump that has waited for room for so many bytes, besides
// those that its log keeps: clients that have been stuck for long are cut even where
// all is within the share. Where the log would keep no more than its equal part, those
// that keep more than theirs are cut sooner.
func (l *relief) relieveFor(kept, wanted int64) {
	l.relieve()
	small := kept+wanted <= l.budget.Share()
	if now := l.now(); !small && now < time.Duration(l.vain.Load())+relieveAgain {
		return // another pump has just looked in vain, for clients of the same kind
	}
	found := l.relieveWhere(func(k keeper) bool {
		least := stuckAfter
		if small && k.memory > l.budget.Share() {
			least = stuckLarge
		}
		return !l.budget.HeldFits(kept, wanted) && (k.topic.reg.clients == 0 || k.since >= least)
	})
	if !found && !small {
		l.vain.Store(int64(l.now()))
	}
}

// relieveWhere takes the memory of those that keep frames which pass, one after the
// other, and asks again for each. It reports whether one did.
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

// keepers returns the topics that keep frames, in the order in which they are to
// give them up.
func (l *relief) keepers() []keeper {
	var all []keeper
	for _, f := range l.families {
		for _, t := range f.topics {
			if memory, since := t.log.Pinned(); memory > 0 {
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

// relieveOf ends a private topic, or cuts those readers of another that keep its
// log from dropping what the others have got.
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
