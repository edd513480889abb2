package deflate

import "hash/crc32"

// Sum is the CRC-32 and the length of a run of plain bytes: what the trailer of
// a gzip member says. The zero Sum is that of no bytes. Sums of the same bytes
// are equal.
//
// A CRC is a polynomial over GF(2) modulo crc32.IEEE. That of two runs one
// behind the other is the first one's, multiplied by x^(8·length of the
// second), plus the second one's; so runs are joined and cut by multiplying
// their sums, whatever their lengths.
type Sum struct {
	length uint64
	crc    uint32
}

// SumOf returns the sum of parts, one behind another.
func SumOf(parts ...[]byte) (s Sum) {
	for _, part := range parts {
		s.crc = crc32.Update(s.crc, crc32.IEEETable, part)
		s.length += uint64(len(part))
	}
	return s
}

// Then returns the sum of the bytes of s with those of next behind them.
func (s Sum) Then(next Sum) Sum {
	return Sum{crc: shift(s.crc, next.length) ^ next.crc, length: s.length + next.length}
}

// CRC32 returns the checksum as hash/crc32 computes it with crc32.IEEE.
func (s Sum) CRC32() uint32 { return s.crc }

// Len returns the number of bytes.
func (s Sum) Len() uint64 { return s.length }

// one is x^0: the polynomials are written with the highest power in bit 0, as
// hash/crc32 does.
const one = 1 << 31

// shift multiplies a polynomial by x^(8·length).
func shift(p uint32, length uint64) uint32 {
	if p == 0 {
		return 0
	}
	for digit := 0; length > 0; digit++ {
		if d := byte(length); d != 0 {
			p = multiply(p, powers[digit][d])
		}
		length >>= 8
	}
	return p
}

// powers holds x^(8·d·256^i) at [i][d]: one multiplication for each digit of a
// length that is not zero, so one or two for a frame.
//
//nolint:gochecknoglobals // a table that never changes.
var powers = func() (table [8][256]uint32) {
	step := uint32(one >> 8) // x^8
	for i := range table {
		power := uint32(one)
		for d := range table[i] {
			table[i][d] = power
			power = multiply(power, step)
		}
		step = power
	}
	return table
}()

// multiply returns a·b modulo crc32.IEEE.
func multiply(a, b uint32) uint32 {
	product := carryless(a, b) << 1 // bit 63 is x^0 now
	low := uint32(product)          //nolint:gosec // its lower half: x^32 to x^63
	for range 4 {                   // times x^8, modulo the polynomial
		low = crc32.IEEETable[low&0xff] ^ low>>8
	}
	return uint32(product>>32) ^ low
}

// carryless returns a·b as polynomials. Every factor is cut into four whose
// bits are four apart: at most eight of their products fall on one bit, so that
// what integers carry stays within the three bits between, and is masked away.
func carryless(a, b uint32) uint64 {
	const m0, m1, m2, m3 = 0x1111111111111111, 0x2222222222222222, 0x4444444444444444, 0x8888888888888888
	x, y := uint64(a), uint64(b)
	x0, x1, x2, x3 := x&m0, x&m1, x&m2, x&m3
	y0, y1, y2, y3 := y&m0, y&m1, y&m2, y&m3
	return (x0*y0^x1*y3^x2*y2^x3*y1)&m0 |
		(x0*y1^x1*y0^x2*y3^x3*y2)&m1 |
		(x0*y2^x1*y1^x2*y0^x3*y3)&m2 |
		(x0*y3^x1*y2^x2*y1^x3*y0)&m3
}
