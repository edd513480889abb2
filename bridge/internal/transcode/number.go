package transcode

import (
	"math"
	"math/bits"
	"slices"
	"strconv"
)

// digitPairs has the numbers 00 to 99.
const digitPairs = "00010203040506070809" +
	"10111213141516171819" +
	"20212223242526272829" +
	"30313233343536373839" +
	"40414243444546474849" +
	"50515253545556575859" +
	"60616263646566676869" +
	"70717273747576777879" +
	"80818283848586878889" +
	"90919293949596979899"

// powersOfTen[i] is 10^i.
var powersOfTen = [20]uint64{ //nolint:gochecknoglobals // a table
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

// decimalLen returns the number of digits of v.
func decimalLen(v uint64) int {
	n := bits.Len64(v|1) * 1233 >> 12 // log10(2) is a little more than 1233/4096
	if v >= powersOfTen[n] {
		n++
	}
	return max(n, 1)
}

// extend grows dst by n bytes. The caller sets their contents.
func extend(dst []byte, n int) []byte {
	if cap(dst)-len(dst) < n {
		dst = slices.Grow(dst, n)
	}
	return dst[:len(dst)+n]
}

func appendUint(dst []byte, v uint64) []byte {
	if v < 10 {
		return append(dst, byte('0'+v))
	}

	if v < 100 {
		return append(dst, digitPairs[2*v], digitPairs[2*v+1])
	}

	n := decimalLen(v)
	dst = extend(dst, n)
	putDigits(dst[len(dst)-n:], v)
	return dst
}

func appendInt(dst []byte, v int64) []byte {
	if v < 0 {
		return appendUint(append(dst, '-'), -uint64(v)) //nolint:gosec // two's complement, correct for the smallest number too
	}
	return appendUint(dst, uint64(v))
}

// putDigits fills b with the digits of v, with leading zeros.
func putDigits(b []byte, v uint64) {
	i := len(b)

	for i >= 2 {
		pair := v % 100
		v /= 100
		i -= 2
		b[i], b[i+1] = digitPairs[2*pair], digitPairs[2*pair+1]
	}

	if i == 1 {
		b[0] = byte('0' + v%10)
	}
}

// Numbers with few decimals are the most frequent ones: prices, ratios, percentages. If v is the double
// nearest to n/10^6, and n has at most 15 digits, then n/10^6 without trailing zeros is the shortest
// decimal that parses as v. Doubles distinguish decimals of up to 15 digits (DBL_DIG), so no other
// decimal of that length parses as v. n and 10^6 are exact doubles, so the division rounds exactly as
// parsing does.
const (
	decimalPlaces  = 6
	decimalScale   = 1e6
	decimalMaximum = 1e15 / decimalScale
	// For a float the same holds up to 6 digits (FLT_DIG).
	floatPlaces  = 3
	floatScale   = 1e3
	floatMaximum = 1e6 / floatScale
)

// appendFloat64 appends a double in protojson's form: exponents only below 1e-6 and from 1e21 on,
// without a leading zero.
func appendFloat64(dst []byte, v float64) []byte {
	if abs := math.Abs(v); abs < decimalMaximum {
		n := uint64(abs*decimalScale + 0.5)
		if float64(n)/decimalScale == abs && n < 1e15 {
			return appendDecimal(appendSign(dst, v), n, decimalPlaces, decimalScale)
		}
	}
	return appendShortest(dst, v, 64)
}

// appendFloat32 is appendFloat64 for a float.
func appendFloat32(dst []byte, v float32) []byte {
	if abs := float32(math.Abs(float64(v))); abs < floatMaximum {
		n := uint32(abs*floatScale + 0.5)
		if float32(n)/floatScale == abs && n < 1e6 {
			return appendDecimal(appendSign(dst, float64(v)), uint64(n), floatPlaces, floatScale)
		}
	}
	return appendShortest(dst, float64(v), 32)
}

func appendSign(dst []byte, v float64) []byte {
	if math.Signbit(v) {
		return append(dst, '-')
	}
	return dst
}

// appendDecimal appends n/scale without trailing zeros; scale is 10^places.
func appendDecimal(dst []byte, n uint64, places int, scale uint64) []byte {
	dst = appendUint(dst, n/scale)

	fraction := n % scale
	if fraction == 0 {
		return dst
	}

	for fraction%10 == 0 {
		fraction /= 10
		places--
	}

	dst = extend(append(dst, '.'), places)
	putDigits(dst[len(dst)-places:], fraction)
	return dst
}

// appendShortest appends any float.
func appendShortest(dst []byte, v float64, bitSize int) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(dst, `"-Infinity"`...)
	}

	if !needsExponent(math.Abs(v), bitSize) {
		return strconv.AppendFloat(dst, v, 'f', -1, bitSize)
	}

	dst = strconv.AppendFloat(dst, v, 'e', -1, bitSize)

	// strconv writes e-09 for e-9.
	if n := len(dst); n >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

func needsExponent(abs float64, bitSize int) bool {
	if bitSize == 32 {
		return abs != 0 && (float32(abs) < 1e-6 || float32(abs) >= 1e21)
	}
	return abs != 0 && (abs < 1e-6 || abs >= 1e21)
}
