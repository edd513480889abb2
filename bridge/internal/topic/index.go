package topic

import "slices"

// index finds the logs of a family by the ids that they hold and by their newest ids, so that a
// frame costs the same with one log in the family and with thousands. The family's lock guards it.
// It does not contain main, which is always checked first. The zero index is empty.
type index struct {
	// holders is, for an id, the catch-up that was the last to begin at it or to append it.
	// An entry may be out of date, since logs evict under their own locks: it is a hint,
	// and only the log knows.
	holders map[string]*Topic
	// standing is, for an id, the first in the list of the logs whose newest id it is.
	standing map[string]*Topic
}

// entry is a log's part of an index.
type entry struct {
	next, prev *Topic   // in the list of index.standing
	held       []string // the ids at which the log began and that it appended, as far as holders may have them
	tidy       int      // how long held may become before evicted ids are removed
}

// stand sets a log's newest id. An empty id is one that no other log can hold.
func (x *index) stand(t *Topic, id string) {
	x.unlink(t)
	if t.member.newest = id; id == "" || t.role() == mainRole {
		return
	}
	first := x.standing[id]
	if t.member.entry.next = first; first != nil {
		first.member.entry.prev = t
	}
	if x.standing == nil {
		x.standing = map[string]*Topic{}
	}
	x.standing[id] = t
}

// unlink takes a log out of the list of those that have its newest id.
func (x *index) unlink(t *Topic) {
	next, prev := t.member.entry.next, t.member.entry.prev
	switch {
	case prev != nil:
		prev.member.entry.next = next
	case t.member.newest == "" || x.standing[t.member.newest] != t:
		return // it is not in a list
	case next != nil:
		x.standing[t.member.newest] = next
	default:
		delete(x.standing, t.member.newest)
	}
	if next != nil {
		next.member.entry.prev = prev
	}
	t.member.entry.next, t.member.entry.prev = nil, nil
}

// hold notes that a catch-up's log has an id.
func (x *index) hold(t *Topic, id string) {
	const least = 64
	if id == "" {
		return
	}
	if x.holders == nil {
		x.holders = map[string]*Topic{}
	}
	x.holders[id] = t
	if t.member.entry.held = append(t.member.entry.held, id); len(t.member.entry.held) > max(least, t.member.entry.tidy) {
		t.member.entry.held = slices.DeleteFunc(t.member.entry.held, func(id string) bool {
			_, ok := t.log.Find(id)
			return x.holders[id] != t || !ok && x.forget(t, id)
		})
		t.member.entry.held = slices.Clip(t.member.entry.held)
		t.member.entry.tidy = 2 * len(t.member.entry.held)
	}
}

// forget removes an id that leads to this log, and returns true.
func (x *index) forget(t *Topic, id string) bool {
	if x.holders[id] == t {
		delete(x.holders, id)
	}
	return true
}

// drop removes a log.
func (x *index) drop(t *Topic) {
	x.unlink(t)
	x.hide(t)
}

// hide removes a catch-up's ids, so that no cursor leads to it.
func (x *index) hide(t *Topic) {
	for _, id := range t.member.entry.held {
		x.forget(t, id)
	}
	t.member.entry.held = nil
}
