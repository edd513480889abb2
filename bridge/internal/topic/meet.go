package topic

import "time"

// grow appends a frame to the log, and merges the logs of the family that meet now. breaks says
// that the frame is a gap after which the order of cursors begins again.
func (m *member) grow(frame []byte, id string, breaks bool) error {
	f := m.home
	private := m.role() == privateRole
	if private && !m.params.Dated || !private && !f.meets && !breaks { // no other log needs to know
		m.log.Append(frame, id)
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if m.merged || m.removed {
		return errOver // while the message was being rendered
	}
	m.log.Append(frame, id)
	if private {
		f.privates.stand(m.Topic, id)
		return nil
	}
	if breaks {
		m.gapAt, _ = m.log.Head()
		f.index.stand(m.Topic, "") // no other log holds the id of a gap
		return nil
	}
	f.index.stand(m.Topic, id)
	if f.meetOthers(m.Topic); m.merged {
		return errOver
	}
	f.mergeAt(id, m.Topic)
	if m.role() == catchUpRole && !m.apart {
		f.index.hold(m.Topic, id)
	}
	return nil
}

// mergeAt merges the catch-ups whose newest id this is into a log that holds it.
func (f *family) mergeAt(id string, t *Topic) {
	if id == "" || t.member.apart || f.index.standing[id] == nil || !t.member.takesIn(id) {
		return
	}
	for other := f.index.standing[id]; other != nil; {
		next := other.member.entry.next // merge takes other out of the list
		if other != t && (!other.member.apart || t.member.takesSlow()) && other.member.goesOnIn(t) {
			f.merge(other)
		}
		other = next
	}
}

// conclude appends the last frame and closes the log, unless another log continues it already. No
// log does after that.
func (m *member) conclude(frame []byte, id string) bool {
	f := m.home
	f.mu.Lock()
	defer f.mu.Unlock()
	if m.merged {
		return false
	}
	if m.role() != privateRole {
		f.index.stand(m.Topic, "")
	}
	m.log.Append(frame, id)
	m.log.Close()
	return true
}

// setAccepted notes whether the topic has a running RPC. A topic that has just got one may hold the
// id at which a catch-up waits.
func (m *member) setAccepted(accepted bool) {
	f := m.home
	if !f.meets || m.role() == privateRole {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if m.removed {
		return
	}
	if m.accepted = accepted; accepted {
		f.welcome(m.Topic)
	}
	if m.Topic == f.main {
		f.wakeAhead()
	}
}

// welcome merges the logs that meet a topic which has just got an RPC. A new topic holds only the
// id at which it began; one that got its RPC back may have a whole log.
func (f *family) welcome(t *Topic) {
	f.meetOthers(t)
	if t.member.merged {
		return
	}
	for _, id := range t.log.IDs() {
		f.mergeAt(id, t)
		if other := f.index.holders[id]; t.role() == catchUpRole && !t.member.apart && other != t && (other == nil || !other.member.reaches(id)) {
			f.index.hold(t, id)
		}
	}
}

// meetOthers merges a catch-up into another log that holds the catch-up's newest id. It looks into
// main's log first.
func (f *family) meetOthers(t *Topic) {
	if t.role() != catchUpRole || t.member.merged || t.member.newest == "" {
		return
	}
	if f.main != nil && f.main.member.reaches(t.member.newest) && (!t.member.apart || f.main.member.takesSlow()) && t.member.goesOnIn(f.main) {
		f.merge(t)
		return
	}
	other := f.index.holders[t.member.newest]
	if !t.member.apart && other != nil && other != t && other.member.takesIn(t.member.newest) && t.member.goesOnIn(other) {
		f.merge(t)
	}
}

// reaches reports whether a log whose newest id this is can be continued by this one.
func (m *member) reaches(id string) bool {
	if !m.accepted || m.merged {
		return false
	}
	position, ok := m.log.Find(id)
	return ok && position >= m.gapAt
}

// goesOnIn reports whether the clients of a catch-up can be placed in a log that holds its newest
// id. A client that still skips frames, by an ordinal of its id, has a place ahead of the catch-
// up's log: it needs that place, or the cursor from which the ordinal counts. Otherwise it would
// open the next catch-up at the same cursor, over and over.
func (m *member) goesOnIn(other *Topic) bool {
	return m.log.Newest() >= m.readers.skips.Load() || other.member.reaches(m.start)
}

// takesIn reports whether a catch-up whose newest id this is may merge into this log. Where catch-
// ups are bounded each has a bound of its own, and none takes in another one while it replays: a
// chain of catch-ups would have no bound.
func (m *member) takesIn(id string) bool {
	return (m.role() == mainRole || m.params.CatchUp == 0 || m.replayed.Load()) && m.reaches(id)
}

// takesSlow reports whether a catch-up that is apart, because its client is slow, may merge into
// this log. Only main takes it, and not while main waits for its readers: the client would delay
// them once more, and again each time it is parted.
func (m *member) takesSlow() bool { return m.Topic == m.home.main && !m.readers.retained() }

// merge ends a catch-up. Its clients read the rest of its log. Then Subscription.Move places each by
// its own id, and chooses the log for it.
func (f *family) merge(t *Topic) {
	t.member.merged, t.member.accepted = true, false
	t.log.Close()
	t.member.haltLocked()
	f.index.drop(t)
}

// isMerged reports whether another log continues this one.
func (m *member) isMerged() bool {
	m.home.mu.Lock()
	defer m.home.mu.Unlock()
	return m.merged
}

// mainPatience is how long a catch-up waits for a main log that does not move.
const mainPatience = time.Second

// ahead reports whether a catch-up has passed main's newest frame, so that it waits for main.
// Otherwise the two could stay one message apart forever. It does not wait while main waits for a
// client, or while main's RPC sends nothing. When main comes to the catch-up's newest id, the two
// merge. Whether main passes by is checked now and then, not at each of main's frames, since many
// catch-ups may wait.
func (m *member) ahead() bool {
	f := m.home
	if m.role() != catchUpRole || !f.meets {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	main := f.main
	ahead := main != nil && main != m.Topic && main.member.accepted && !main.finished() && !main.log.Full() &&
		main.member.newest != "" && m.newest != main.member.newest && m.reaches(main.member.newest) &&
		main.log.Time(time.Now())-main.log.NewestAt() < mainPatience
	if ahead {
		f.ahead[m.Topic] = struct{}{}
	} else {
		delete(f.ahead, m.Topic)
	}
	return ahead
}

// wakeAhead lets the catch-ups that wait for main check again.
func (f *family) wakeAhead() {
	for t := range f.ahead {
		t.wakePump()
	}
}

// hide takes a log out of the index, and lets no other log merge into it: clients that came to it
// would only wait for its readers once more.
func (f *family) hide(t *Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t.member.apart = true
	f.index.hide(t)
}
