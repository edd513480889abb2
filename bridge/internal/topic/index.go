package topic

import "slices"

// index finds the logs of a family by the ids that they hold and by those that
// they wait for, so that a frame costs the same with one log in the family and
// with thousands. It is guarded by the family's lock. Main is in none: it is looked at
// first anyway. The zero index is empty.
type index struct {
	// holders is the catch-up that was the last to begin at an id or to append it.
	// An entry may be out of date, since logs evict under their own locks: it is a
	// place to look, and the log has the last word.
	holders map[string]*Topic
	// standing is the first log in the list of those whose newest id it is.
	standing map[string]*Topic
}

// entry is a log's part of an index.
type entry struct {
	next, prev *Topic   // in the list of index.standing
	held       []string // the ids that the log began at and got, as far as holders may have them
	tidy       int      // how long held may get until what the log has evicted is taken out
}

// stand notes that a log's newest id has changed. An empty id is one that no other log
// can hold.
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

func (x *index) unlink(t *Topic) {
	next, prev := t.member.entry.next, t.member.entry.prev
	switch {
	case prev != nil:
		prev.member.entry.next = next
	case t.member.newest == "" || x.standing[t.member.newest] != t:
		return // it is in no list
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

func (x *index) forget(t *Topic, id string) bool {
	if x.holders[id] == t {
		delete(x.holders, id)
	}
	return true
}

// drop takes a log out: no cursor finds it, and it meets no other log.
func (x *index) drop(t *Topic) {
	x.unlink(t)
	x.hide(t)
}

// hide removes a catch-up's ids, so that no cursor finds it.
func (x *index) hide(t *Topic) {
	for _, id := range t.member.entry.held {
		x.forget(t, id)
	}
	t.member.entry.held = nil
}
