package transcode

import "sync/atomic"

// Stats counts the messages of a plan that needed more than one pass. All other messages were printed
// in one pass over their bytes.
type Stats struct {
	// Reordered counts messages that needed a second pass: their fields were repeated, split, or in an
	// order that no serializer uses.
	Reordered uint64
	// Library counts messages that went to dynamicpb and protojson, by reason as in the metric's label:
	// extension, foreign_type and odd_entry are supported only by the library; malformed, utf8,
	// required, unrepresentable and unresolvable are errors for the library to confirm.
	Library map[string]uint64
}

// Path is the way in which a message became JSON.
type Path int

// The paths.
const (
	Direct    Path = iota // one pass over the bytes, enough for usual serializers
	Reordered             // a second pass; see Stats.Reordered
	Library               // dynamicpb and protojson; see Stats.Library
)

// Paths returns the paths' metric labels.
func Paths() [3]string {
	return [3]string{Direct: "direct", Reordered: "reordered", Library: "library"}
}

// counters are the numbers behind Stats. The common path needs no counter: it is all messages minus
// those counted here.
type counters struct {
	reordered atomic.Uint64
	library   [oddEntry + 1]atomic.Uint64
}

// Stats returns the counts so far.
func (p *Plan) Stats() Stats {
	s := Stats{Reordered: p.counters.reordered.Load(), Library: map[string]uint64{}}

	for f := range p.counters.library {
		if n := p.counters.library[f].Load(); n > 0 {
			s.Library[failure(f).reason()] += n
		}
	}
	return s
}
