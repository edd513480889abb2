package deflate

import "encoding/binary"

// bitWriter appends bits, the lowest first (RFC 1951, section 3.1.1).
type bitWriter struct {
	out  []byte
	bits uint64 // that are not in out yet
	n    uint   // so many: at most 31 between two calls
}

// put appends the n lowest bits of v, at most 32; its others are zero.
func (w *bitWriter) put(v uint32, n uint) {
	w.bits |= uint64(v) << w.n
	w.n += n
	if w.n >= 32 {
		w.out = binary.LittleEndian.AppendUint32(w.out, uint32(w.bits)) //nolint:gosec // the lower half
		w.bits >>= 32
		w.n -= 32
	}
}

// code appends a code and the n bits behind it, at most 28 together.
func (w *bitWriter) code(c code, extra uint32, n uint) {
	w.put(uint32(c.bits)|extra<<c.length, uint(c.length)+n)
}

// stored appends a stored block of as many bytes as its length can say, at
// most. Its bytes begin at a byte (RFC 1951, section 3.2.4).
func (w *bitWriter) stored(plain []byte) {
	w.put(kindStored, kindBits)
	for ; w.n > 0; w.n -= min(w.n, 8) {
		w.out = append(w.out, byte(w.bits)) //nolint:gosec // the lowest eight
		w.bits >>= 8
	}
	w.out = appendStoredBody(w.out, plain)
}

// storedSize is how many bits stored appends for n bytes.
func (w *bitWriter) storedSize(n int) int {
	padding := -(w.n + kindBits) & 7
	return kindBits + int(padding) + 32 + 8*n
}
