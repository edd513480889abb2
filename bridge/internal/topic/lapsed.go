package topic

import "hash/maphash"

// lapsedKeys is how many keys are remembered at least, at some 16 bytes each.
const lapsedKeys = 1 << 14

// lapsed remembers the keys of topics that have ended while the bridge ran. A client that comes
// back to one of them was away for too long; a client of any other key comes from another bridge,
// or from before a restart. Ids that are positions show that themselves; cursors of the backend do
// not. The zero value is ready, and the registry's lock guards it.
type lapsed struct {
	seed          maphash.Seed
	newer, before map[uint64]struct{} // when newer is full, it replaces before
}

func (l *lapsed) add(key string) {
	if l.newer == nil {
		l.seed, l.newer = maphash.MakeSeed(), map[uint64]struct{}{}
	}
	if len(l.newer) >= lapsedKeys {
		l.before, l.newer = l.newer, map[uint64]struct{}{}
	}
	l.newer[maphash.String(l.seed, key)] = struct{}{}
}

func (l *lapsed) has(key string) bool {
	if l.newer == nil {
		return false
	}
	sum := maphash.String(l.seed, key)
	_, newer := l.newer[sum]
	_, before := l.before[sum]
	return newer || before
}
