package delivery

import "container/heap"

// deadlines is a heap of members. A member's deadline is the time at which the shard must look at it. A
// write to the member puts its deadline off, but the heap is not updated: the member comes up too early,
// and the shard then sets a new deadline.
type deadlines []*member

// Len implements heap.Interface.
func (d *deadlines) Len() int { return len(*d) }

// Less implements heap.Interface.
func (d *deadlines) Less(i, j int) bool { return (*d)[i].deadline < (*d)[j].deadline }

// Swap implements heap.Interface.
func (d *deadlines) Swap(i, j int) {
	all := *d
	all[i], all[j] = all[j], all[i]
	all[i].heapIndex, all[j].heapIndex = i, j
}

// Push implements heap.Interface.
func (d *deadlines) Push(x any) {
	m := x.(*member) //nolint:errcheck,forcetypeassert // only heap.Push in set calls it
	m.heapIndex = len(*d)
	*d = append(*d, m)
}

// Pop implements heap.Interface.
func (d *deadlines) Pop() any {
	old := *d
	last := len(old) - 1
	m := old[last]
	old[last] = nil
	*d = old[:last]
	m.heapIndex = -1
	return m
}

// set gives a member a deadline, unless the member has an earlier one. If by is never, set does nothing.
func (d *deadlines) set(m *member, by moment) {
	switch {
	case by == never:
	case m.heapIndex < 0:
		m.deadline = by
		heap.Push(d, m)
	case by < m.deadline:
		m.deadline = by
		heap.Fix(d, m.heapIndex)
	}
}

// drop removes a member from the heap, if it is there.
func (d *deadlines) drop(m *member) {
	if m.heapIndex >= 0 {
		heap.Remove(d, m.heapIndex)
	}
}

// due removes and returns a member whose deadline has passed, or nil.
func (d *deadlines) due(now moment) *member {
	if len(*d) == 0 || now < (*d)[0].deadline {
		return nil
	}
	return heap.Pop(d).(*member) //nolint:errcheck,forcetypeassert // see Push
}

// first returns the earliest deadline; never if there is none.
func (d *deadlines) first() moment {
	if len(*d) == 0 {
		return never
	}
	return (*d)[0].deadline
}
