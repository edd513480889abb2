package topic

import (
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// idleTopics are the topics without clients, which linger for a while. The registry's lock guards
// them.
type idleTopics struct {
	*Registry

	all    *simplelru.LRU[*Topic, struct{}] // the least recently used first
	briefs briefs                           // among them
}

// release ends a client's, or a catch-up's, hold on a topic.
func (l *idleTopics) release(t *Topic) {
	t.reg.clients--
	if t.reg.clients == 0 && !t.reg.gone {
		l.rest(t)
	}
}

// rest lets a topic without clients linger. A catch-up whose ids are all cursors need not linger: a
// client that comes back with one opens another catch-up.
func (l *idleTopics) rest(t *Topic) {
	linger := t.params.Linger
	if l.closed || t.home.owner.isRetired() || t.params.Abandon || !t.reg.opened || linger <= 0 || t.member.disposable() {
		l.end(t)
		return
	}
	if l.all.Len() >= l.limits.Idle {
		l.evict(l.oldest(), evictedIdle)
	}
	if t.member.isMerged() { // a client that comes back only reads the rest
		l.mains.letGo(t)
	}
	t.slot.Load().giveBack() // it may linger for long
	l.all.Add(t, struct{}{})
	if t.role() == privateRole {
		t.home.resting[t] = struct{}{}
	}
	t.reg.rests++
	rest := t.reg.rests
	t.reg.linger = time.AfterFunc(linger, func() { l.over(t, rest) })
	l.restBrief(t)
}

// restBrief notes a brief topic that begins to linger, and ends another brief one if there are too
// many.
func (l *idleTopics) restBrief(t *Topic) {
	if phase := t.Status().Phase; t.reg.settled || phase != Opening && phase != Live {
		return
	}
	most := mostBrief(l.limits.Idle)
	l.briefs.topics.Add(t, struct{}{})
	for l.briefs.topics.Len() > most {
		l.evict(l.briefs.victim(), evictedIdle)
	}
}

// wake ends a topic's lingering.
func (l *idleTopics) wake(t *Topic) {
	if t.reg.linger != nil {
		t.reg.linger.Stop()
		l.all.Remove(t)
		l.briefs.topics.Remove(t)
		delete(t.home.resting, t)
	}
}

// over ends a topic whose linger time has passed. rest is the topic's count of linger times when
// this one began: if the count is another one by now, a client has come and left meanwhile, and a
// later call ends the topic.
func (l *idleTopics) over(t *Topic, rest int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.reg.clients == 0 && t.reg.rests == rest {
		l.end(t)
	}
}

// oldest returns the topic to end next, nil if none lingers.
func (l *idleTopics) oldest() *Topic {
	if t, _, ok := l.briefs.topics.GetOldest(); ok {
		return t
	}
	t, _, _ := l.all.GetOldest() // nil if there is none
	return t
}

// evict ends a topic that lingers, to make room for others.
func (l *idleTopics) evict(t *Topic, reason string) {
	l.counts.Evictions.Add(reason, 1)
	l.end(t)
}

// makeRoom ends an idle topic if the limit is reached: a brief one, or the one that has been idle
// longest.
func (r *Registry) makeRoom() error {
	if r.topics < r.limits.Topics {
		return nil
	}
	oldest := r.idle.oldest()
	if oldest == nil {
		return ErrFull
	}
	r.idle.evict(oldest, evictedTopics)
	return nil
}

// end removes a topic from the registry, and ends its RPC. Clients that are still attached keep its
// log.
func (r *Registry) end(t *Topic) {
	if t.reg.gone {
		return
	}
	t.reg.gone = true
	r.count(t, -1)
	defer r.mains.letGo(t)
	r.idle.all.Remove(t)
	r.idle.briefs.topics.Remove(t)
	if t.reg.linger != nil {
		t.reg.linger.Stop()
	}
	f := t.home
	if _, id := t.log.Head(); id != "" && t.reg.opened && !f.owner.isRetired() {
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

// disposable reports whether all of a topic's clients can resume elsewhere: none has a position in
// its log, which begins after a cursor and has no gap that ended the counting from the cursor.
func (m *member) disposable() bool {
	if m.role() != catchUpRole {
		return false
	}
	m.home.mu.Lock()
	defer m.home.mu.Unlock()
	return m.start != "" && m.gapAt == 0 && (m.merged || !m.finished())
}

// newIdle makes a set of idle topics in the order of their last use.
func newIdle(size int) *simplelru.LRU[*Topic, struct{}] {
	idle, err := simplelru.NewLRU[*Topic, struct{}](size, nil)
	if err != nil {
		panic(err) // a size below 1, which the configuration excludes
	}
	return idle
}
