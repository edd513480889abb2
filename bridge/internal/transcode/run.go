package transcode

import (
	"math"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// run is one pass over the wire bytes of a message. It lives on the stack of its caller.
//
// Functions that append return nil, or an offset below zero, when the pass cannot go on; why is in failure then. There
// are two kinds of passes. The first takes the bytes as they come and stops at whatever is out of order. The second is
// orderly: it puts each message's fields in order before it prints them, and what it says about a message counts.
type run struct {
	plan    *Plan
	tapped  *Tapped  // nil: without taps
	scratch *scratch // nil until it is needed
	limit   int      // of len(dst)
	effort  int      // bytes that may still be moved or looked at twice
	anys    int      // Any messages around the current one
	orderly bool

	weighing bool // only counts, extensions left out
	counted  int  // messages and entries of maps that were checked
	failure  failure
	culprit  protoreflect.FullName // the type the failure is about
	badURL   []byte                // of a failure by an unknown type
}

// failure is why a pass ended.
type failure uint8

const (
	noFailure    failure = iota
	disorder             // fields out of order, repeated or split: the orderly pass knows what to do
	malformed            // not the wire format
	badText              // invalid UTF-8
	incomplete           // a required field is missing
	inexpressive         // a value without a JSON form
	unresolved           // an Any of an unknown type
	tooDeep
	anyTooDeep
	tooLarge
	tooSplit    // more moving than a message is worth
	extension   // an extension that the resolver knows
	foreignType // a MessageSet
	oddEntry    // a map entry on which the library panics, or whose key changes its type
)

// scratch is the memory of the runs that need some: those of maps and of disorder.
type scratch struct {
	pairs  []pair
	high   int // how many of pairs were in use at once
	pieces []piece
	parts  []part
	arena  []byte // bytes put in order; earlier slices of it stay valid when it grows
}

// scratchPool spares most messages with maps their allocations (BenchmarkAppend/maps).
var scratchPool = sync.Pool{New: func() any { return new(scratch) }} //nolint:gochecknoglobals // a pool has no owner

// memory gives the run's scratch.
func (r *run) memory() *scratch {
	if r.scratch == nil {
		r.scratch, _ = scratchPool.Get().(*scratch)
	}

	return r.scratch
}

// release gives the scratch back, unless a large message made it large. Nothing may refer to the wire bytes.
func (r *run) release() {
	s := r.scratch
	if s == nil {
		return
	}

	r.scratch = nil

	if cap(s.arena) > scratchKept || cap(s.pairs) > scratchKept/32 || cap(s.pieces) > scratchKept/16 {
		return
	}

	clear(s.pairs[:max(s.high, len(s.pairs))])
	s.pairs, s.high, s.pieces, s.parts, s.arena = s.pairs[:0], 0, s.pieces[:0], s.parts[:0], s.arena[:0]
	scratchPool.Put(s)
}

// effortFor is how many bytes may be moved for a message of n bytes: enough for every level to be out of order at
// sensible depths, and little enough that a message made for it costs no more than a few times its size.
func effortFor(n int) int { return 16*n + 1<<20 }

// spend takes n bytes of effort and reports whether they were left.
func (r *run) spend(n int) bool {
	r.effort -= n
	if r.effort < 0 {
		r.stop(tooSplit)

		return false
	}

	return true
}

// start readies a run for a message that is printed after base bytes.
func (r *run) start(plan *Plan, base int, wire []byte) {
	r.plan = plan
	r.effort = effortFor(len(wire))

	r.limit = math.MaxInt
	if plan.maxBytes > 0 {
		r.limit = base + plan.maxBytes
	}
}

// again readies the run for an orderly pass over n bytes, unless the first one has met what no pass can do.
func (r *run) again(n int) {
	switch r.failure {
	case extension, foreignType, oddEntry:
		return
	default:
	}

	r.failure, r.orderly, r.anys = noFailure, true, 0
	r.effort = effortFor(n)

	if s := r.scratch; s != nil {
		s.high = max(s.high, len(s.pairs))
		s.pairs, s.pieces, s.parts, s.arena = s.pairs[:0], s.pieces[:0], s.parts[:0], s.arena[:0]
	}
}

// whole appends the JSON of the outermost message; nil if it cannot.
func (r *run) whole(dst, wire []byte, t *table) []byte {
	out := r.message(room(dst, wire), wire, t, 1)
	if len(out) > r.limit {
		return r.stop(tooLarge)
	}

	return out
}

// room gives a new dst the size that most messages need. It is never nil.
func room(dst, wire []byte) []byte {
	if dst == nil {
		return make([]byte, 0, min(2*len(wire)+64, scratchKept))
	}

	return dst
}

// tappedMessage appends the JSON of the tapped data and reads the other taps; nil if it cannot.
func (r *run) tappedMessage(dst, wire []byte) []byte {
	p, out := r.plan, r.tapped

	printed := r.whole(dst, wire, p.hooked)
	if printed == nil {
		return nil
	}

	if p.data != nil {
		printed = p.data.project(printed, len(dst), &out.taken[dataSlot], p.nothing)
	}

	if !r.readTaken(out) {
		return nil
	}

	return printed
}

// stop notes why the pass ends. It returns nil, to be returned in the place of bytes.
func (r *run) stop(why failure) []byte {
	if r.failure == noFailure {
		r.failure = why
	}

	return nil
}

// stopAt is stop for functions that return an offset too.
func (r *run) stopAt(why failure) ([]byte, int) { return r.stop(why), -1 }

// cannotExpress ends the pass at a value of a well-known type.
func (r *run) cannotExpress(t *table) []byte {
	r.culprit = t.name

	return r.stop(inexpressive)
}

// next gives the entry of the next field that t knows at or after b[i] and where its value begins; -1 if the bytes are
// broken, and nil at their end.
func (r *run) next(b []byte, i int, t *table) (*entry, int) {
	for i < len(b) {
		start := i

		var e *entry
		if c := b[i]; c < 0x80 {
			e, i = &t.entries[t.short[c]], i+1
		} else if e, i = t.lookup(b, i); i < 0 {
			r.stop(malformed)

			return nil, -1
		}

		if e.form != unknownForm {
			return e, i
		}

		if i = r.skip(b, start, t); i < 0 {
			return nil, -1
		}
	}

	return nil, i
}

// skip passes over a field at b[i] that t does not know.
func (r *run) skip(b []byte, i int, t *table) int {
	number, wire, n := protowire.ConsumeTag(b[i:])
	if n < 0 || number > protowire.MaxValidNumber {
		r.stop(malformed)

		return -1
	}

	if t.ranges != nil && !r.weighing && t.ranges.Has(number) && r.plan.knowsExtension(t.name, number) {
		r.stop(extension)

		return -1
	}

	m := protowire.ConsumeFieldValue(number, wire, b[i+n:])
	if m < 0 {
		r.stop(malformed)

		return -1
	}

	return i + n + m
}

// varint decodes the varint at b[i]; the offset behind it is -1 if it is broken.
func varint(b []byte, i int) (uint64, int) {
	if i < len(b) {
		if c := b[i]; c < 0x80 {
			return uint64(c), i + 1
		}
	}

	return longVarint(b, i)
}

func longVarint(b []byte, i int) (uint64, int) {
	if i+1 < len(b) && b[i+1] < 0x80 {
		return uint64(b[i]&0x7f) | uint64(b[i+1])<<7, i + 2
	}

	v, n := protowire.ConsumeVarint(b[min(i, len(b)):])
	if n < 0 {
		return 0, -1
	}

	return v, i + n
}

// chunk gives the length-delimited bytes at b[i] and the offset behind them, -1 if there are fewer than it says.
func chunk(b []byte, i int) ([]byte, int) {
	var n uint64
	if i < len(b) && b[i] < 0x80 {
		n = uint64(b[i])
		i++
	} else if n, i = longVarint(b, i); i < 0 {
		return nil, -1
	}

	if n > uint64(len(b)-i) { //nolint:gosec // i is within b
		return nil, -1
	}

	end := i + int(n) //nolint:gosec // at most len(b)

	return b[i:end:end], end
}
