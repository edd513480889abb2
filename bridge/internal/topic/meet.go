package topic

import "time"

// grow appends a frame to a log of the family and sees which logs meet. breaks
// says that the frame is a gap that breaks the order of cursors.
func (m *member) grow(frame []byte, id string, breaks bool) error {
	f := m.home
	private := m.role() == privateRole
	if private && !m.params.Dated || !private && !f.meets && !breaks { // no other log's business
		m.log.Append(frame, id)
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if m.merged || m.removed {
		return errOver // a message was being rendered meanwhile
	}
	m.log.Append(frame, id)
	if private {
		f.privates.stand(m.Topic, id)
		return nil
	}
	if breaks {
		m.gapAt, _ = m.log.Head()
		f.index.stand(m.Topic, "") // no other log has a gap's id
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

// mergeAt merges the catch-ups that stand at an id into a log that holds it.
func (f *family) mergeAt(id string, t *Topic) {
	if id == "" || t.member.apart || f.index.standing[id] == nil || !t.member.takesIn(id) {
		return
	}
	for other := f.index.standing[id]; other != nil; {
		next := other.member.entry.next // it is taken out of the list when it merges
		if other != t && (!other.member.apart || t.member.takesSlow()) && other.member.goesOnIn(t) {
			f.merge(other)
		}
		other = next
	}
}

// conclude appends the last frame and closes the log, unless another one goes on
// from here. None does after it.
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

// setAccepted notes whether the topic has a running RPC. One that has got it
// anew may hold what catch-ups are waiting for.
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

// welcome sees which logs a topic meets that has got an RPC. A new one holds no id
// but that at which it began; one that got its RPC back may have a whole log.
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

// meetOthers merges a catch-up into a log that holds its newest id, main first.
func (f *family) meetOthers(t *Topic) {
	if t.role() != catchUpRole || t.member.merged || t.member.newest == "" {
		return
	}
	if f.main != nil && f.main.member.reaches(t.member.newest) && (!t.member.apart || f.main.member.takesSlow()) && t.member.goesOnIn(f.main) {
		f.merge(t)
		return
	}
	if other := f.index.holders[t.member.newest]; !t.member.apart && other != nil && other != t && other.member.takesIn(t.member.newest) && t.member.goesOnIn(other) {
		f.merge(t)
	}
}

// reaches reports whether a log that stands at the id can go on in this one.
func (m *member) reaches(id string) bool {
	if !m.accepted || m.merged {
		return false
	}
	position, ok := m.log.Find(id)
	return ok && position >= m.gapAt
}

// goesOnIn reports whether the clients of a catch-up can be placed in a log that
// holds its newest id. A client that still skips what it has got, by an ordinal of its
// id, has its own place ahead of the catch-up: it needs that place, or the cursor that
// the ordinal counts from. Else it would open the next catch-up at the same cursor,
// over and over.
func (m *member) goesOnIn(other *Topic) bool {
	return m.log.Newest() >= m.readers.skips.Load() || other.member.reaches(m.start)
}

// takesIn reports whether a catch-up that stands at the id may merge into this log.
// Where catch-ups are bounded, each has a bound of its own, and none takes in another
// one while it replays: a chain of catch-ups would have no bound.
func (m *member) takesIn(id string) bool {
	return (m.role() == mainRole || m.params.CatchUp == 0 || m.replayed.Load()) && m.reaches(id)
}

// takesSlow reports whether a catch-up that is apart, since its client is slow, may merge
// into this log: into main alone, and not while main waits for its readers, or the
// client would hold these up once more, and again each time it is parted.
func (m *member) takesSlow() bool { return m.Topic == m.home.main && !m.readers.retained() }

// merge ends a catch-up. Its clients read what it holds and are then placed
// anew, each by its own id; in which log, is seen then.
func (f *family) merge(t *Topic) {
	t.member.merged, t.member.accepted = true, false
	t.log.Close()
	t.member.haltLocked()
	f.index.drop(t)
}

// isMerged reports whether another log goes on from here.
func (m *member) isMerged() bool {
	m.home.mu.Lock()
	defer m.home.mu.Unlock()
	return m.merged
}

// mainPatience is how long a catch-up waits for a main log that does not move.
const mainPatience = time.Second

// ahead reports whether a catch-up has passed main's newest frame: it waits for
// main then, or the two could stay one message apart for ever; unless main
// itself waits for a client, or its RPC brings nothing. When main comes to the
// catch-up's newest id, the two merge; whether it passes by is looked at now and
// then, and not at each frame of main's, for which many may wait.
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

// wakeAhead lets the catch-ups that wait for main look again.
func (f *family) wakeAhead() {
	for t := range f.ahead {
		t.wakePump()
	}
}

// hide has a log found by no cursor any more, and no other merge into it: clients
// that come would only wait for its readers once more.
func (f *family) hide(t *Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t.member.apart = true
	f.index.hide(t)
}
