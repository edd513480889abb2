package delivery

import "container/heap"

// deadlines is a heap of members by when they are to be looked at, at the
// latest. A member that has been written to since is looked at early and put
// back, so that writing changes nothing here.
type deadlines []*member

// Len is part of heap.Interface, as the others are.
func (d *deadlines) Len() int { return len(*d) }

// Less puts the earliest first.
func (d *deadlines) Less(i, j int) bool { return (*d)[i].look < (*d)[j].look }

// Swap keeps the members' places true.
func (d *deadlines) Swap(i, j int) {
	all := *d
	all[i], all[j] = all[j], all[i]
	all[i].place, all[j].place = i, j
}

// Push takes a *member.
func (d *deadlines) Push(x any) {
	m := x.(*member) //nolint:errcheck,forcetypeassert // only heap.Push in set calls it
	m.place = len(*d)
	*d = append(*d, m)
}

// Pop returns a *member.
func (d *deadlines) Pop() any {
	old := *d
	last := len(old) - 1
	m := old[last]
	old[last] = nil
	*d = old[:last]
	m.place = -1
	return m
}

// set has a member looked at by a time, or earlier where that was asked for
// before; never asks for nothing.
func (d *deadlines) set(m *member, by moment) {
	switch {
	case by == never:
	case m.place < 0:
		m.look = by
		heap.Push(d, m)
	case by < m.look:
		m.look = by
		heap.Fix(d, m.place)
	}
}

// drop forgets a member.
func (d *deadlines) drop(m *member) {
	if m.place >= 0 {
		heap.Remove(d, m.place)
	}
}

// due returns a member whose time has come, or nil.
func (d *deadlines) due(now moment) *member {
	if len(*d) == 0 || now < (*d)[0].look {
		return nil
	}
	return heap.Pop(d).(*member) //nolint:errcheck,forcetypeassert // see Push
}

// first returns the earliest time, never where there is none.
func (d *deadlines) first() moment {
	if len(*d) == 0 {
		return never
	}
	return (*d)[0].look
}
