package tally

import (
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
)

// Family is counters of one kind, told apart by a label whose values are known
// beforehand: all exist from the start. Its methods are safe for concurrent use.
//
// A counter is found by going through the labels: for what happens now and then,
// not for each message.
type Family[L ~string] struct {
	labels []L
	counts []atomic.Uint64
}

// NewFamily returns a family of counters that stand at 0.
func NewFamily[L ~string](labels ...L) *Family[L] {
	return &Family[L]{labels: labels, counts: make([]atomic.Uint64, len(labels))}
}

// Add counts n more of a label, which is one of the family's: any other is a
// mistake in the program, and panics.
func (f *Family[L]) Add(label L, n uint64) {
	at := slices.Index(f.labels, label)
	if at < 0 {
		panic(fmt.Sprintf("tally: %q is not a label of the family", label))
	}
	f.counts[at].Add(n)
}

// All returns the labels with their counts, in the order of NewFamily.
func (f *Family[L]) All() iter.Seq2[L, uint64] {
	return func(yield func(L, uint64) bool) {
		for i, label := range f.labels {
			if !yield(label, f.counts[i].Load()) {
				return
			}
		}
	}
}
