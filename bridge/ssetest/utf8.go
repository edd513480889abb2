package ssetest

import (
	"unicode/utf8"
)

// decode is the standard's "UTF-8 decode": each maximal invalid part becomes one replacement character
// (https://encoding.spec.whatwg.org/#utf-8-decoder). Lines can be decoded one by one, since line ends
// are ASCII.
func decode(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}

	out := make([]byte, 0, len(b)+utf8.UTFMax)

	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			size = invalidPart(b)
		}

		out = utf8.AppendRune(out, r)
		b = b[size:]
	}
	return string(out)
}

// invalidPart returns the length of the invalid sequence at the start of b: the longest prefix of a
// valid one, or 1.
func invalidPart(b []byte) int {
	need, low, high := 0, byte(0x80), byte(0xBF) // range of the second byte; later bytes have 80..BF

	switch c := b[0]; {
	case c >= 0xC2 && c <= 0xDF:
		need = 1
	case c >= 0xE0 && c <= 0xEF:
		need = 2
	case c >= 0xF0 && c <= 0xF4:
		need = 3
	}

	switch b[0] {
	case 0xE0:
		low = 0xA0
	case 0xED:
		high = 0x9F
	case 0xF0:
		low = 0x90
	case 0xF4:
		high = 0x8F
	}

	n := 1
	for n <= need && n < len(b) && b[n] >= low && b[n] <= high {
		low, high = 0x80, 0xBF
		n++
	}
	return n
}
