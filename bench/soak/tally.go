package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/ssebridge/ssebridge/bench/internal/histogram"
)

// most is how many failures are told in words; the others are counted.
const most = 40

// tally counts what the clients of one kind of route see. Its methods are safe
// for concurrent use.
type tally struct {
	mu     sync.Mutex
	counts counts
	told   []string // the first failures

	late histogram.Histogram // of messages to clients that are not late on purpose
}

// counts are what a tally has counted.
type counts struct {
	connections, messages int64
	untold                int64 // streams that ended without stream-retry
	lost, doubled         int64
	failures              int64          // lost or doubled messages, gaps that are not excused, breaches of the wire contract
	gaps                  map[string]int // by reason, those that are excused
	unexcused             map[string]int // by reason, the others
	retries               map[string]int // by reason
	gaits                 map[string]int // connections that were read slowly, by how
}

func (t *tally) count(change func(*counts)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.counts)
}

func (t *tally) connected() { t.count(func(c *counts) { c.connections++ }) }
func (t *tally) ended()     { t.count(func(c *counts) { c.untold++ }) }
func (t *tally) message()   { t.count(func(c *counts) { c.messages++ }) }

// broken counts a place that did not follow the one before: ahead of it by so
// many, or behind it.
func (t *tally) broken(ahead int64) {
	t.count(func(c *counts) {
		if ahead > 0 {
			c.lost += ahead
		} else {
			c.doubled++
		}
	})
}

// gap counts a gap. early: the route is to resume at cursors, and the client had
// none yet.
func (t *tally) gap(reason string, excused, early bool) {
	if early {
		reason += " before a cursor"
	}
	t.count(func(c *counts) {
		if excused {
			c.gaps = one(c.gaps, reason)
		} else {
			c.unexcused = one(c.unexcused, reason)
		}
	})
}

// asked counts a stream-retry.
func (t *tally) asked(reason string) {
	t.count(func(c *counts) { c.retries = one(c.retries, reason) })
}

// walked counts a connection that a gait has read to its end.
func (t *tally) walked(gait string) {
	t.count(func(c *counts) { c.gaits = one(c.gaits, gait) })
}

// shown reports whether a gap, a stream-retry or a gait has been seen, which is named
// as "gap lagged", "retry lagged" or "gait ghost".
func (t *tally) shown(what string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	sort, reason, _ := strings.Cut(what, " ")
	switch sort {
	case "gap":
		return t.counts.gaps[reason] > 0
	case "gait":
		return t.counts.gaits[reason] > 0
	default:
		return t.counts.retries[reason] > 0
	}
}

func one(counted map[string]int, what string) map[string]int {
	if counted == nil {
		counted = map[string]int{}
	}
	counted[what]++
	return counted
}

// failsf counts a failure, and keeps the first ones in words.
func (t *tally) failsf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.failures++
	if len(t.told) < most {
		t.told = append(t.told, fmt.Sprintf(format, args...))
	}
}

// now returns the counts so far, and the failures in words.
func (t *tally) now() (counts, []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	snapshot := t.counts
	snapshot.gaps, snapshot.unexcused = maps.Clone(snapshot.gaps), maps.Clone(snapshot.unexcused)
	snapshot.retries, snapshot.gaits = maps.Clone(snapshot.retries), maps.Clone(snapshot.gaits)
	return snapshot, slices.Clone(t.told)
}

// add sums two counts.
func (c *counts) add(other counts) {
	c.connections += other.connections
	c.messages += other.messages
	c.untold += other.untold
	c.lost += other.lost
	c.doubled += other.doubled
	c.failures += other.failures
	c.gaps = sum(c.gaps, other.gaps)
	c.unexcused = sum(c.unexcused, other.unexcused)
	c.retries = sum(c.retries, other.retries)
	c.gaits = sum(c.gaits, other.gaits)
}

func sum(counted, more map[string]int) map[string]int {
	total := maps.Clone(counted)
	if total == nil {
		total = map[string]int{}
	}
	for reason, n := range more {
		total[reason] += n
	}
	return total
}

func total(counted map[string]int) (n int) {
	for _, more := range counted {
		n += more
	}
	return n
}

// listed shows counts by reason.
func listed(counted map[string]int) string {
	if len(counted) == 0 {
		return "-"
	}
	parts := make([]string, 0, len(counted))
	for _, reason := range slices.Sorted(maps.Keys(counted)) {
		parts = append(parts, fmt.Sprintf("%s %d", reason, counted[reason]))
	}
	return strings.Join(parts, ", ")
}
