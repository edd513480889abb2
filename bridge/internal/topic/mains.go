package topic

import "time"

// mains keep a main log beside each catch-up, so that the catch-up has a log to meet: after a
// restart of the bridge all clients come with a cursor, and nobody would open main. The registry's
// lock guards them.
type mains struct{ *Registry }

// ensure gives a catch-up a main log to meet, and keeps that log while the catch-up runs.
func (m *mains) ensure(t *Topic, join Join) {
	if t.role() != catchUpRole || !t.home.meets {
		return
	}
	if t.member.apart {
		t.reg.mainJoin = &join
	}
	main := t.home.main
	if main != nil && t.member.apart && main.finished() {
		main = nil // only slow clients would have RPCs, forever
	}
	if main == nil && m.makeRoom() == nil {
		main = m.open(join.anywhere())
		main.reg.opened = true // the catch-up's clients will be its own
	}
	if main != nil {
		m.reopen(main)
		main.readers.share()
		main.reg.clients++
		t.reg.keptMain = main
		m.pumps.run(main)
	}
}

// ensureAgain sees to it that a catch-up which is apart has a main log with an RPC, since it meets
// no other log.
func (m *mains) ensureAgain(t *Topic) {
	main := t.reg.keptMain
	if main == nil || t.reg.mainJoin == nil {
		return
	}
	if main == t.home.main && !main.finished() {
		m.reopen(main)
		m.pumps.run(main)
		return
	}
	t.reg.keptMain = nil
	m.ensure(t, *t.reg.mainJoin)
	m.idle.release(main)
}

// letGo ends a catch-up's hold on its main log, whose clients its own will be.
func (m *mains) letGo(t *Topic) {
	main := t.reg.keptMain
	if main == nil {
		return
	}
	t.reg.keptMain = nil
	main.reg.settled = main.reg.settled || t.reg.settled
	m.idle.release(main)
}

// stopped opens main again where catch-ups are apart, since no client need come back that would
// have it opened. Where its stream has ended, another one begins. An RPC without a cursor may end
// at once, each time: so the next one begins after a pause that doubles as long as they send no
// message.
func (m *mains) stopped(main *Topic) {
	f := main.home
	if m.closed || main.reg.gone || main != f.main {
		return
	}
	pause := time.Duration(0)
	if main.finished() {
		now := time.Now()
		pause = f.again.next.Sub(now)
		f.again.backoff = main.params.Backoff
		f.again.ended(now.Add(max(pause, 0)), main.Status().Messages)
	}
	if pause <= 0 {
		m.keep(main)
		return
	}
	time.AfterFunc(pause, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if !m.closed {
			m.keep(main)
		}
	})
}

// keep gives the catch-ups that are apart and keep this main log a main log with an RPC.
func (m *mains) keep(main *Topic) {
	for _, t := range main.home.topics {
		if t.member.apart && t.reg.keptMain == main && !t.member.isMerged() {
			m.ensureAgain(t)
		}
	}
}

// demote leaves a main log to a client that is slow in it and has no place in another log: main
// becomes that client's catch-up. The family gets another main, which the catch-ups that kept this
// one keep from then on.
func (m *mains) demote(t *Topic, join Join) {
	f := t.home
	f.mu.Lock()
	t.readers.mu.Lock()
	t.roleNow.Store(int32(catchUpRole))
	t.readers.mu.Unlock()
	f.main = nil
	f.index.stand(t, t.member.newest)
	f.wakeAhead()
	f.mu.Unlock()
	for _, other := range f.topics {
		if other.reg.keptMain == t {
			other.reg.keptMain = nil
			t.reg.clients--
			m.ensure(other, join)
		}
	}
	m.ensure(t, join)
}
