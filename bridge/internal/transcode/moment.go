package transcode

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

			if v, i = varint(b, i); e.number == 1 { // an overlong tag
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

// The ranges of google/protobuf/timestamp.proto (years 1 to 9999) and duration.proto.
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
	// The days in 400, 100 and 4 years of the Gregorian calendar.
	daysPer400Years, daysPer100Years, daysPer4Years = 146097, 36524, 1461
)

// appendTime appends a time between the years 1 and 9999 in RFC 3339 form, in UTC, with zero, three,
// six or nine decimals.
func appendTime(dst []byte, seconds, nanos int64) []byte {
	days := (seconds - minSeconds) / secondsPerDay       // since 0001-01-01
	second := uint64(seconds-minSeconds) % secondsPerDay //nolint:gosec // not before year 1
	days += minSeconds / secondsPerDay

	year, month, day := civil(uint64(days + unixOffset)) //nolint:gosec // positive since year 1

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

// civil converts days since 0000-03-01 to a date. Its years begin in March, so that a leap day is the
// last day of a year.
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

// appendNanos appends a fraction of a second: nothing, or a point and three, six or nine digits.
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
