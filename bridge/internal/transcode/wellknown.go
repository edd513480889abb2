package transcode

import (
	"bytes"
	"math"
)

// special appends a message of a well-known type that does not print as an object of its fields.
func (r *run) special(dst, b []byte, t *table, depth int) []byte {
	if t.foreign {
		return r.stop(foreignType)
	}

	if t.enter != nil {
		r.tapped.enter(t.enter)

		if !r.tapped.walk(r, b, t) {
			return nil
		}
	}

	switch t.kind {
	case timestampKind:
		return r.timestamp(dst, b, t)
	case durationKind:
		return r.duration(dst, b, t)
	default:
	}

	// The types above have plain numbers, of which the last counts anyway. In the others there may be disorder.
	if r.orderly {
		if b = r.settle(b, t, depth); b == nil {
			return nil
		}
	}

	switch t.kind {
	case wrapperKind:
		return r.wrapper(dst, b, t, depth)
	case valueKind:
		return r.dynamic(dst, b, t, depth)
	case structKind:
		return r.only(dst, b, t, depth)
	case listValueKind:
		return r.only(dst, b, t, depth)
	case fieldMaskKind:
		return r.fieldMask(dst, b, t)
	default:
		return r.any(dst, b, t, depth)
	}
}

// moment reads the seconds and nanoseconds of a Timestamp or a Duration.
func (r *run) moment(b []byte, t *table) (seconds, nanos int64, ok bool) {
	for i := 0; i < len(b); {
		var v uint64

		switch b[i] {
		case 1 << 3:
			v, i = varint(b, i+1)
			seconds = int64(v) //nolint:gosec // the type's own representation
		case 2 << 3:
			v, i = varint(b, i+1)
			nanos = int64(int32(v)) //nolint:gosec // the type's own truncation
		default:
			var e *entry
			if e, i = r.next(b, i, t); e == nil {
				return seconds, nanos, i >= 0
			}

			if v, i = varint(b, i); e.number == 1 { // a tag that is longer than it needs to be
				seconds = int64(v) //nolint:gosec // the type's own representation
			} else {
				nanos = int64(int32(v)) //nolint:gosec // the type's own truncation
			}
		}

		if i < 0 {
			r.stop(malformed)

			return 0, 0, false
		}
	}

	return seconds, nanos, true
}

// Ranges of google/protobuf/timestamp.proto and duration.proto: the years 1 to 9999, and as much to both sides.
const (
	minSeconds  = -62135596800
	maxSeconds  = 253402300799
	maxDuration = 315576000000
	maxNanos    = 999999999
)

func (r *run) timestamp(dst, b []byte, t *table) []byte {
	seconds, nanos, ok := r.moment(b, t)

	switch {
	case !ok:
		return nil
	case seconds < minSeconds || seconds > maxSeconds || nanos < 0 || nanos > maxNanos:
		return r.cannotExpress(t)
	}

	return append(appendTime(append(dst, '"'), seconds, nanos), '"')
}

func (r *run) duration(dst, b []byte, t *table) []byte {
	seconds, nanos, ok := r.moment(b, t)

	switch {
	case !ok:
		return nil
	case seconds < -maxDuration || seconds > maxDuration || nanos < -maxNanos || nanos > maxNanos,
		seconds > 0 && nanos < 0, seconds < 0 && nanos > 0:
		return r.cannotExpress(t)
	}

	dst = append(dst, '"')

	if seconds < 0 || nanos < 0 {
		dst = append(dst, '-')
		seconds, nanos = -seconds, -nanos
	}

	return append(appendNanos(appendInt(dst, seconds), nanos), `s"`...)
}

const (
	secondsPerDay = 24 * 60 * 60
	// unixOffset is the days from 0000-03-01 to 1970-01-01.
	unixOffset = 719468
	// Days of 400 and of 100 years of the Gregorian calendar, and of four.
	daysPer400Years, daysPer100Years, daysPer4Years = 146097, 36524, 1461
)

// appendTime appends a time from year 1 to 9999 as RFC 3339 has it, in UTC, with no, three, six or nine decimals.
func appendTime(dst []byte, seconds, nanos int64) []byte {
	days := (seconds - minSeconds) / secondsPerDay       // since 0001-01-01
	second := uint64(seconds-minSeconds) % secondsPerDay //nolint:gosec // not before year 1
	days += minSeconds / secondsPerDay

	year, month, day := civil(uint64(days + unixOffset)) //nolint:gosec // year 1 is behind the offset

	dst = extend(dst, len("2006-01-02T15:04:05"))
	text := dst[len(dst)-len("2006-01-02T15:04:05"):]
	putPair(text[0:], year/100)
	putPair(text[2:], year%100)
	text[4] = '-'
	putPair(text[5:], month)
	text[7] = '-'
	putPair(text[8:], day)
	text[10] = 'T'
	putPair(text[11:], second/3600)
	text[13] = ':'
	putPair(text[14:], second/60%60)
	text[16] = ':'
	putPair(text[17:], second%60)

	return append(appendNanos(dst, nanos), 'Z')
}

// civil turns days since 0000-03-01 into a date. Years begin in March here, so that a leap day ends its year.
func civil(days uint64) (year, month, day uint64) {
	era := days / daysPer400Years
	days %= daysPer400Years
	yearOfEra := (days - days/(daysPer4Years-1) + days/daysPer100Years - days/(daysPer400Years-1)) / 365
	days -= 365*yearOfEra + yearOfEra/4 - yearOfEra/100
	year = 400*era + yearOfEra
	march := (5*days + 2) / 153 // months since March, of 153 days each five
	day = days - (153*march+2)/5 + 1

	if march < 10 {
		return year, march + 3, day
	}

	return year + 1, march - 9, day
}

func putPair(b []byte, v uint64) {
	b[0], b[1] = digitPairs[2*v], digitPairs[2*v+1]
}

// appendNanos appends a fraction of a second: nothing, or three, six or nine digits after a point.
func appendNanos(dst []byte, nanos int64) []byte {
	if nanos == 0 {
		return dst
	}

	digits, v := 9, uint64(nanos) //nolint:gosec // not negative
	for v%1000 == 0 {
		v /= 1000
		digits -= 3
	}

	dst = extend(append(dst, '.'), digits)
	putDigits(dst[len(dst)-digits:], v)

	return dst
}

// single gives the entry of the only field a message has and where its value begins; nil if it has none, and -1 where
// more follow, or the bytes are broken.
func (r *run) single(b []byte, t *table) (*entry, int) {
	e, i := r.next(b, 0, t)
	if e == nil {
		return nil, i
	}

	return e, i
}

// last sees to it that no known field follows at b[i].
func (r *run) last(b []byte, i int, t *table) bool {
	e, i := r.next(b, i, t)
	if e != nil {
		r.stop(disorder)
	}

	return e == nil && i >= 0
}

// wrapper appends the value of a wrapper type.
func (r *run) wrapper(dst, b []byte, t *table, depth int) []byte {
	e, i := r.single(b, t)

	switch {
	case i < 0:
		return nil
	case e == nil:
		return append(dst, t.entries[1].zero...)
	}

	if dst, i = r.value(dst, b, i, e, depth); i < 0 || !r.last(b, i, t) {
		return nil
	}

	return dst
}

// only appends the list or map that is all a ListValue or a Struct has.
func (r *run) only(dst, b []byte, t *table, depth int) []byte {
	e, i := r.single(b, t)

	switch {
	case i < 0:
		return nil
	case e == nil:
		return append(dst, t.entries[1].zero...)
	case e.form == mapForm:
		dst, i = r.pairs(dst, b, i, e, depth)
	default:
		dst, i = r.list(dst, b, i, e, depth)
	}

	if i < 0 || !r.last(b, i, t) {
		return nil
	}

	return dst
}

// Field numbers of google.protobuf.Value that are treated apart.
const numberValueNumber = 2

// dynamic appends a google.protobuf.Value: what is set of its oneof.
func (r *run) dynamic(dst, b []byte, t *table, depth int) []byte {
	e, i := r.single(b, t)

	switch {
	case i < 0:
		return nil
	case e == nil:
		return r.cannotExpress(t)
	}

	start := len(dst)
	if dst, i = r.value(dst, b, i, e, depth); i < 0 || !r.last(b, i, t) {
		return nil
	}

	// NaN and the infinities are the only numbers that print as strings.
	if e.number == numberValueNumber && dst[start] == '"' {
		return r.cannotExpress(t)
	}

	return dst
}

// fieldMask appends the paths of a google.protobuf.FieldMask in lowerCamelCase, joined by commas.
func (r *run) fieldMask(dst, b []byte, t *table) []byte {
	dst = append(dst, '"')
	start := len(dst)

	for i := 0; ; {
		e, next := r.next(b, i, t)
		if next < 0 {
			return nil
		}

		if e == nil {
			return append(dst, '"')
		}

		var path []byte
		if path, i = chunk(b, next); i < 0 {
			return r.stop(malformed)
		}

		if len(dst) > start {
			dst = append(dst, ',')
		}

		var ok bool
		if dst, ok = appendPath(dst, path); !ok {
			return r.cannotExpress(t)
		}

		if len(dst) > r.limit {
			return r.stop(tooLarge)
		}
	}
}

// appendPath appends a path of a field mask in lowerCamelCase. It reports false where that could not be undone: for
// capitals, and for an underscore that no small letter follows; and where the path is no name.
func appendPath(dst, path []byte) ([]byte, bool) {
	begins := true // a segment begins here
	upper := false

	for _, c := range path {
		switch {
		case c == '.' && !begins && !upper:
			begins = true
			dst = append(dst, c)

			continue
		case c == '_' && !upper:
			upper = true
		case 'a' <= c && c <= 'z':
			if upper {
				c -= 'a' - 'A'
			}

			dst = append(dst, c)
			upper = false
		case '0' <= c && c <= '9' && !begins && !upper:
			dst = append(dst, c)
		default:
			return dst, false
		}

		begins = false
	}

	return dst, !begins && !upper
}

// any appends a google.protobuf.Any: its type's URL and the fields of what it holds, or its value, where that prints as
// something else.
func (r *run) any(dst, b []byte, t *table, depth int) []byte {
	url, body, ok := r.packedAny(b, t)

	switch {
	case !ok:
		return nil
	case len(url) == 0 && len(body) == 0:
		return append(dst, "{}"...)
	case len(url) == 0:
		return r.cannotExpress(t)
	case r.anys == maxAnyNesting:
		return r.stop(anyTooDeep)
	}

	content := r.plan.anyTable(url)
	if content == nil {
		r.badURL = bytes.Clone(url)

		return r.stop(unresolved)
	}

	if depth >= r.plan.maxDepth {
		return r.stop(tooDeep)
	}

	start := len(dst)
	dst = append(dst, `,"@type":`...)

	if dst, ok = appendText(dst, url); !ok {
		return r.stop(badText)
	}

	r.anys++

	if content.kind == objectKind {
		dst = r.fields(dst, body, content, depth+1)
	} else {
		dst = r.message(append(dst, `,"value":`...), body, content, depth+1)
	}

	r.anys--

	if dst == nil {
		return nil
	}

	return closeObject(dst, start)
}

// packedAny reads the two fields of an Any.
func (r *run) packedAny(b []byte, t *table) (url, body []byte, ok bool) {
	previous := int32(math.MinInt32)

	for i := 0; ; {
		e, next := r.next(b, i, t)
		if e == nil {
			return url, body, next >= 0
		}

		if e.index <= previous {
			r.stop(disorder)

			return nil, nil, false
		}

		previous = e.index

		var value []byte
		if value, i = chunk(b, next); i < 0 {
			r.stop(malformed)

			return nil, nil, false
		}

		if e.number == 1 {
			url = value
		} else {
			body = value
		}
	}
}
