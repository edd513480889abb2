package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// most is how many failures are told in words; the others are counted.
const most = 40

// tally counts what the clients of one kind of route see. Its methods are safe
// for concurrent use.
type tally struct {
	mu     sync.Mutex
	counts counts
	told   []string // the first failures
}

// counts are what a tally has counted.
type counts struct {
	connections, messages int64
	lost, doubled         int64
	failures              int64          // what must not be: lost or doubled messages, unexcused gaps, breaches of the wire contract
	gaps, retries         map[string]int // by reason
}

func (t *tally) count(change func(*counts)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.counts)
}

func (t *tally) connected() { t.count(func(c *counts) { c.connections++ }) }
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

func (t *tally) gap(reason string) {
	t.count(func(c *counts) { c.gaps = one(c.gaps, reason) })
}

// asked counts a stream-retry.
func (t *tally) asked(data string) {
	var retry struct {
		Reason string `json:"reason"`
	}
	if err := json.Unmarshal([]byte(data), &retry); err != nil {
		t.failsf("stream-retry: %v", err)
		return
	}
	t.count(func(c *counts) { c.retries = one(c.retries, retry.Reason) })
}

func one(counted map[string]int, what string) map[string]int {
	if counted == nil {
		counted = map[string]int{}
	}
	counted[what]++
	return counted
}

// failsf notes what must not be.
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
	snapshot.gaps, snapshot.retries = maps.Clone(snapshot.gaps), maps.Clone(snapshot.retries)
	return snapshot, slices.Clone(t.told)
}

// add sums two counts.
func (c *counts) add(other counts) {
	c.connections += other.connections
	c.messages += other.messages
	c.lost += other.lost
	c.doubled += other.doubled
	c.failures += other.failures
	for reason, n := range other.gaps {
		for range n {
			c.gaps = one(c.gaps, reason)
		}
	}
	for reason, n := range other.retries {
		for range n {
			c.retries = one(c.retries, reason)
		}
	}
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
