package transcode

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// The scanners below check eight bytes in one word (SWAR): (x-ones*n)&^x&highs has the high bit set in each byte
// of x that is less than n. Bits above the lowest set one may be wrong, so callers use only the lowest.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special sets the high bit of the first byte of x that needs attention: a control character, a quote,
// a backslash, or a byte beyond ASCII.
func special(x uint64) uint64 {
	quote := x ^ ones*'"'
	slash := x ^ ones*'\\'
	return ((x-ones*' ')&^x | (quote-ones)&^quote | (slash-ones)&^slash | x) & highs
}

// escaped is special without the bytes beyond ASCII.
func escaped(x uint64) uint64 {
	quote := x ^ ones*'"'
	slash := x ^ ones*'\\'
	return ((x-ones*' ')&^x | (quote-ones)&^quote | (slash-ones)&^slash) & highs
}

// plainLen returns the length of the prefix of s that is ASCII and needs no escape. The last word
// overlaps the one before it; a short string becomes one word from two overlapping halves.
func plainLen(s []byte) int {
	if len(s) < 8 {
		return shortPlainLen(s)
	}

	for i := 0; i <= len(s)-8; i += 8 {
		if m := special(binary.LittleEndian.Uint64(s[i:])); m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}

	if m := special(binary.LittleEndian.Uint64(s[len(s)-8:])); m != 0 {
		return len(s) - 8 + bits.TrailingZeros64(m)/8
	}
	return len(s)
}

// shortPlainLen is plainLen for fewer than eight bytes.
func shortPlainLen(s []byte) int {
	if len(s) >= 4 {
		x := uint64(binary.LittleEndian.Uint32(s)) | uint64(binary.LittleEndian.Uint32(s[len(s)-4:]))<<32
		if special(x) == 0 {
			return len(s)
		}
	}

	i := 0
	for i < len(s) && s[i] >= ' ' && s[i] != '"' && s[i] != '\\' && s[i] < utf8.RuneSelf {
		i++
	}
	return i
}

// unescapedLen returns the length of the prefix of s that needs no escape.
func unescapedLen(s []byte) int {
	i := 0
	for ; len(s)-i >= 8; i += 8 {
		if m := escaped(binary.LittleEndian.Uint64(s[i:])); m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}

	for ; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

// appendText appends s as a JSON string and reports whether s is valid UTF-8. The result is invalid if
// it is not.
func appendText(dst, s []byte) ([]byte, bool) {
	n := plainLen(s)
	if n == len(s) {
		dst = extend(dst, n+2)
		quoted := dst[len(dst)-n-2:]
		quoted[0], quoted[n+1] = '"', '"'
		copy(quoted[1:], s)
		return dst, true
	}

	if !utf8.Valid(s[n:]) {
		return dst, false
	}

	dst = append(append(dst, '"'), s[:n]...)
	return append(appendEscaped(dst, s[n:]), '"'), true
}

// appendEscaped appends valid UTF-8. It escapes only control characters, quotes and backslashes.
func appendEscaped(dst, s []byte) []byte {
	for {
		n := unescapedLen(s)
		dst = append(dst, s[:n]...)

		if n == len(s) {
			return dst
		}

		dst = appendEscape(dst, s[n])
		s = s[n+1:]
	}
}

func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"

	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	default:
		return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
	}
}
