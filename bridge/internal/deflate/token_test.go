package deflate

import "testing"

// The tables of RFC 1951, section 3.2.5.
func TestSymbols(t *testing.T) {
	check := func(what string, value, symbol int, extra uint32, n uint, first []int, bits []uint) {
		t.Helper()
		if symbol < 0 || symbol >= len(first) || n != bits[symbol] || extra >= 1<<n || first[symbol]+int(extra) != value {
			t.Errorf("%s %d: symbol %d and %d in %d bits", what, value, symbol, extra, n)
		}
	}
	for length := lengthBase; length <= longestMatch; length++ {
		symbol, extra, n := lengthSymbol(uint32(length - lengthBase))
		check("length", length, symbol-firstLength, extra, n,
			[]int{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258},
			[]uint{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0})
	}
	for distance := 1; distance <= 32<<10; distance++ {
		symbol, extra, n := distanceSymbol(uint32(distance - 1))
		check("distance", distance, symbol, extra, n,
			[]int{
				1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537,
				2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
			},
			[]uint{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13})
	}
}

func TestTokenHoldsItsParts(t *testing.T) {
	for length := lengthBase; length <= longestMatch; length++ {
		for _, distance := range []int{1, 2, 255, 256, Window + longestPiece, 32 << 10} {
			m := match(length, distance)
			if !m.isMatch() || int(m.length()) != length-lengthBase || int(m.distance()) != distance-1 {
				t.Fatalf("%d bytes from %d back: %x", length, distance, m)
			}
		}
	}
	for b := range 256 {
		if l := literal(byte(b)); l.isMatch() || int(l) != b {
			t.Fatalf("%d: %x", b, l)
		}
	}
}
