package transcode

import (
	"math"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// run is one pass over the wire bytes of a message. It lives on its caller's stack.
//
// Functions that append return nil or a negative offset when the pass cannot continue; failure has the
// reason. The first pass reads the bytes in wire order and stops at any disorder. The second pass is
// orderly: it sorts each message's fields before it prints them, and its failures are final.
type run struct {
	plan    *Plan
	tapped  *Tapped  // nil without taps
	scratch *scratch // nil until needed
	limit   int      // for len(dst)
	effort  int      // bytes that may still be moved or scanned again
	anys    int      // Any messages around the current one
	orderly bool

	countOnly bool // only count messages, without extensions
	counted   int  // messages and entries of maps that were checked
	failure   failure
	culprit   protoreflect.FullName // the type the failure is about
	badURL    []byte                // the type URL of an unresolved failure
}

// failure is the reason why a pass ended.
type failure uint8

const (
	noFailure    failure = iota
	disorder             // fields out of order, repeated or split; the orderly pass can print them
	malformed            // not the wire format
	badText              // invalid UTF-8
	incomplete           // a required field is missing
	inexpressive         // a value without a JSON form
	unresolved           // an Any of an unknown type
	tooDeep
	anyTooDeep
	tooLarge
	tooSplit    // sorting would move too many bytes
	extension   // an extension that the resolver knows
	foreignType // a MessageSet
	oddEntry    // a map entry on which the library panics, or whose key changes its type
)

// scratch is the memory of runs with maps or disorder.
type scratch struct {
	pairs  []pair
	high   int // the most pairs in use at once
	pieces []piece
	parts  []part
	arena  []byte // sorted bytes; slices of it stay valid when it grows
}

// scratchPool saves most messages with maps their allocations (BenchmarkAppend/maps).
var scratchPool = sync.Pool{New: func() any { return new(scratch) }} //nolint:gochecknoglobals // a pool has no owner

// memory returns the run's scratch.
func (r *run) memory() *scratch {
	if r.scratch == nil {
		r.scratch, _ = scratchPool.Get().(*scratch)
	}
	return r.scratch
}

// release returns the scratch to the pool, unless a large message made it large. It clears all
// references to the wire bytes.
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

// effortFor returns how many bytes a pass may move for a message of n bytes. That is enough for
// disorder at every level of sensible depth, and limits a hostile message to a small multiple of its
// size.
func effortFor(n int) int { return 16*n + 1<<20 }

// spend uses n bytes of effort and reports whether they were available.
func (r *run) spend(n int) bool {
	r.effort -= n
	if r.effort < 0 {
		r.stop(tooSplit)
		return false
	}
	return true
}

// start prepares a run for a message whose JSON follows base bytes in dst.
func (r *run) start(plan *Plan, base int, wire []byte) {
	r.plan = plan
	r.effort = effortFor(len(wire))

	r.limit = math.MaxInt
	if plan.maxBytes > 0 {
		r.limit = base + plan.maxBytes
	}
}

// restart prepares the run for an orderly pass over n bytes, unless the first pass found something that
// no pass supports.
func (r *run) restart(n int) {
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

// whole appends the JSON of the outermost message, or returns nil.
func (r *run) whole(dst, wire []byte, t *table) []byte {
	out := r.message(presize(dst, wire), wire, t, 1)
	if len(out) > r.limit {
		return r.stop(tooLarge)
	}
	return out
}

// presize gives a nil dst the capacity that most messages need. It never returns nil.
func presize(dst, wire []byte) []byte {
	if dst == nil {
		return make([]byte, 0, min(2*len(wire)+64, scratchKept))
	}
	return dst
}

// tappedMessage appends the JSON of the tapped data and reads the other taps, or returns nil.
func (r *run) tappedMessage(dst, wire []byte) []byte {
	p, out := r.plan, r.tapped

	printed := r.whole(dst, wire, p.hooked)
	if printed == nil {
		return nil
	}

	if p.data != nil {
		printed = p.data.project(printed, len(dst), &out.captured[dataSlot], p.unsetData)
	}

	if !r.readCaptured(out) {
		return nil
	}
	return printed
}

// stop records the reason why the pass ends. It returns nil for callers that return bytes.
func (r *run) stop(why failure) []byte {
	if r.failure == noFailure {
		r.failure = why
	}
	return nil
}

// stopAt is stop for functions that also return an offset.
func (r *run) stopAt(why failure) ([]byte, int) { return r.stop(why), -1 }

// cannotExpress ends the pass at a value of a well-known type that has no JSON form.
func (r *run) cannotExpress(t *table) []byte {
	r.culprit = t.name
	return r.stop(inexpressive)
}

// next returns the entry of the next known field at or after b[i] and the offset of its value. At the
// end of b the entry is nil; if the bytes are malformed the offset is -1.
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

// skip skips an unknown field at b[i].
func (r *run) skip(b []byte, i int, t *table) int {
	number, wire, n := protowire.ConsumeTag(b[i:])
	if n < 0 || number > protowire.MaxValidNumber {
		r.stop(malformed)
		return -1
	}

	if t.ranges != nil && !r.countOnly && t.ranges.Has(number) && r.plan.knowsExtension(t.name, number) {
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

// varint decodes the varint at b[i]. It returns the offset after it, or -1 if it is malformed.
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

// chunk returns the length-delimited bytes at b[i] and the offset after them, or -1 if b is too short.
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
