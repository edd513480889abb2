package tally

import (
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
)

// Family is a set of counters with one label. The label's values are known beforehand, so that every counter
// exists from the start. Its methods are safe for concurrent use.
//
// Add searches the labels. It is meant for occasional events, not for every message.
type Family[L ~string] struct {
	labels []L
	counts []atomic.Uint64
}

// NewFamily returns a family of counters at 0.
func NewFamily[L ~string](labels ...L) *Family[L] {
	return &Family[L]{labels: labels, counts: make([]atomic.Uint64, len(labels))}
}

// Add adds n to the counter of a label. It panics if the family does not have the label, which is a
// programming error.
func (f *Family[L]) Add(label L, n uint64) {
	at := slices.Index(f.labels, label)
	if at < 0 {
		panic(fmt.Sprintf("tally: %q is not a label of the family", label))
	}
	f.counts[at].Add(n)
}

// All returns the labels with their counts, in the order given to NewFamily.
func (f *Family[L]) All() iter.Seq2[L, uint64] {
	return func(yield func(L, uint64) bool) {
		for i, label := range f.labels {
			if !yield(label, f.counts[i].Load()) {
				return
			}
		}
	}
}
