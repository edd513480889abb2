package replay

import (
	"cmp"
	"slices"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// mark labels a frame.
type mark struct {
	position uint64
	label    reason.Gap
}

// Mark labels the frame that the writer appends next. It is meant for a few frames, as gaps are.
func (l *Log) Mark(label reason.Gap) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.marks = slices.DeleteFunc(l.marks, func(m mark) bool { return m.position <= l.frames.floor })
	l.marks = append(l.marks, mark{l.frames.head() + 1, label})
	l.marked.Store(l.frames.head() + 1)
}

// Marks returns the labels of the frames after one position up to another that are still in the log.
// In the usual case, without marks, it takes no lock.
func (l *Log) Marks(after, upTo uint64) []reason.Gap {
	if l.marked.Load() <= after {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// Binary search: if no message of a stream can be rendered, every frame has a mark.
	first, _ := slices.BinarySearchFunc(l.marks, after+1, func(m mark, position uint64) int { return cmp.Compare(m.position, position) })
	var labels []reason.Gap
	for _, m := range l.marks[first:] {
		if m.position > upTo {
			break
		}
		labels = append(labels, m.label)
	}
	return labels
}
