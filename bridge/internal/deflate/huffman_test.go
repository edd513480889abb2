package deflate

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// fewest is how many bits Huffman's code takes: the sum of all inner nodes.
func fewest(counts []uint16) (sum int) {
	var nodes []int
	for _, n := range counts {
		if n > 0 {
			nodes = append(nodes, int(n))
		}
	}
	if len(nodes) == 1 {
		return nodes[0]
	}
	slices.Sort(nodes)
	for len(nodes) > 1 {
		joined := nodes[0] + nodes[1]
		sum += joined
		at, _ := slices.BinarySearch(nodes[2:], joined)
		nodes = slices.Insert(nodes[2:], at, joined)
	}
	return sum
}

func TestLengthsAreTheShortest(t *testing.T) {
	random := rand.New(rand.NewPCG(31, 32))
	var h huffman
	for range 3000 {
		counts := make([]uint16, 2+random.IntN(symbols-1))
		for i := range counts {
			if random.IntN(3) > 0 {
				counts[i] = uint16(random.IntN(1 << random.IntN(10)))
			}
		}
		lengths := make([]uint8, len(counts))
		h.lengths(lengths, counts, longestCode)
		size := 0
		for symbol, n := range counts {
			size += int(n) * int(lengths[symbol])
		}
		if want := fewest(counts); size != want {
			t.Fatalf("%v: %v take %d bits, want %d", counts, lengths, size, want)
		}
		complete(t, counts, lengths, longestCode)
	}
}

// complete says that there is a code of these lengths, for these symbols only,
// and no place left in it: a decoder takes no other (but of one symbol).
func complete(t testing.TB, counts []uint16, lengths []uint8, limit int) {
	t.Helper()
	taken, there := 0, 0
	for symbol, length := range lengths {
		if int(length) > limit || (length > 0) != (counts[symbol] > 0) {
			t.Fatalf("symbol %d is there %d times and has %d bits", symbol, counts[symbol], length)
		}
		if length > 0 {
			taken += 1 << (limit - int(length))
			there++
		}
	}
	if there > 1 && taken != 1<<limit || there == 1 && taken != 1<<(limit-1) {
		t.Fatalf("%v take %d of %d places", lengths, taken, 1<<limit)
	}
}

// Frequencies as Fibonacci's numbers make the deepest tree.
func TestLengthsAreLimited(t *testing.T) {
	var h huffman
	for _, limit := range []int{5, longestRunCode, 8, longestCode} {
		for size := range runSymbols + 1 {
			counts, lengths := make([]uint16, size), make([]uint8, size)
			a, b := 1, 1
			for i := range counts {
				counts[i] = uint16(a)
				a, b = b, a+b
			}
			h.lengths(lengths, counts, limit)
			complete(t, counts, lengths, limit)
			if !slices.IsSortedFunc(lengths, func(a, b uint8) int { return int(b) - int(a) }) {
				t.Fatalf("what is rarer has a shorter code: %v", lengths)
			}
		}
	}
	// As many as there can be codes.
	counts, lengths := make([]uint16, 1<<5), make([]uint8, 1<<5)
	for i := range counts {
		counts[i] = uint16(1 << (i / 2))
	}
	h.lengths(lengths, counts, 5)
	complete(t, counts, lengths, 5)
}

// The example of RFC 1951, section 3.2.2.
func TestAssign(t *testing.T) {
	var codes [8]code
	assign(codes[:], []uint8{3, 3, 3, 3, 3, 2, 4, 4})
	want := [8]code{{0b010, 3}, {0b110, 3}, {0b001, 3}, {0b101, 3}, {0b011, 3}, {0b00, 2}, {0b0111, 4}, {0b1111, 4}}
	if codes != want {
		t.Errorf("%v, want %v", codes, want)
	}
	assign(codes[:], make([]uint8, 8))
	if codes != [8]code{} {
		t.Error("codes of nothing", codes)
	}
}
