package transcode

import "sync/atomic"

// Stats says how many messages of a plan did not go straight through. All others did: they were printed in one pass over
// their bytes, without a message in between.
type Stats struct {
	// Reordered counts messages that took a second pass: their fields were repeated or split, or in an order that no
	// serializer writes them in.
	Reordered uint64
	// Library counts messages that were given to dynamicpb and protojson, by reason, as a metric's label has it:
	// extension, foreign_type and odd_entry for what only the library does, malformed, utf8, required,
	// unrepresentable and unresolvable for errors that it was asked to confirm.
	Library map[string]uint64
}

// Path is the way that a message took to become JSON.
type Path int

// The paths.
const (
	Direct    Path = iota // one pass over its bytes, which is for all that serializers write
	Reordered             // a second one: see Stats.Reordered
	Library               // dynamicpb and protojson: see Stats.Library
)

// Paths are all of them, as a metric's label has them.
func Paths() [3]string {
	return [3]string{Direct: "direct", Reordered: "reordered", Library: "library"}
}

// counters are the numbers behind Stats. The common path has none: it is all messages less those counted here.
type counters struct {
	reordered atomic.Uint64
	library   [oddEntry + 1]atomic.Uint64
}

// Stats gives the counts so far.
func (p *Plan) Stats() Stats {
	s := Stats{Reordered: p.counters.reordered.Load(), Library: map[string]uint64{}}

	for f := range p.counters.library {
		if n := p.counters.library[f].Load(); n > 0 {
			s.Library[failure(f).reason()] += n
		}
	}

	return s
}
