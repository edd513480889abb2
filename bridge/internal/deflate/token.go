package deflate

import "math/bits"

// token is a literal byte, or a match: how many bytes to take from how far
// back (RFC 1951, section 2).
type token uint32

// What a match can be. The format has matches of three bytes, too; they save
// next to nothing.
const (
	shortestMatch = 4
	longestMatch  = 258
	lengthBase    = 3 // what is written is how much longer it is
)

const (
	isMatch      = 1 << 31
	distanceBits = 15
)

func literal(b byte) token { return token(b) }

func match(length, distance int) token {
	return isMatch | token(length-lengthBase)<<distanceBits | token(distance-1) //nolint:gosec // 8 and 15 bits
}

func (t token) isMatch() bool { return t >= isMatch }

// length is a match's, less lengthBase.
func (t token) length() uint32 { return uint32(t) >> distanceBits & 0xff }

// distance is a match's, less one.
func (t token) distance() uint32 { return uint32(t) & (1<<distanceBits - 1) }

// The alphabets of a block: that of literals, of endOfBlock, and of lengths
// from firstLength on; and that of distances (RFC 1951, section 3.2.5).
const (
	endOfBlock  = 256
	firstLength = 257
	symbols     = 286
	distances   = 30
)

// lengthSymbol returns the symbol of a length, less lengthBase, and the bits
// behind it. Each four symbols have one bit more.
func lengthSymbol(length uint32) (symbol int, extra uint32, n uint) {
	switch {
	case length < 8:
		return firstLength + int(length), 0, 0
	case length == longestMatch-lengthBase:
		return symbols - 1, 0, 0
	}
	n = uint(bits.Len32(length)) - 3
	return firstLength + 4*int(n) + int(length>>n), length & (1<<n - 1), n
}

// distanceSymbol returns the symbol of a distance, less one, and the bits
// behind it. Each two symbols have one bit more.
func distanceSymbol(distance uint32) (symbol int, extra uint32, n uint) {
	if distance < 4 {
		return int(distance), 0, 0
	}
	n = uint(bits.Len32(distance)) - 2
	return 2*int(n) + int(distance>>n), distance & (1<<n - 1), n
}
