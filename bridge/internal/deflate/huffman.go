package deflate

import (
	"math/bits"
	"slices"
)

// How many bits a code of a block may have, and one of the code in which its
// header is (RFC 1951, section 3.2.7).
const (
	longestCode    = 15
	longestRunCode = 7
)

// code is a symbol's code, its first bit the lowest.
type code struct {
	bits   uint16
	length uint8
}

// huffman is room to find the lengths of codes in.
type huffman struct {
	sorted [symbols]uint32
	nodes  [symbols]uint32
}

const symbolBits = 9 // of what is sorted

// lengths sets how long the code of each symbol is to be, at most limit, so
// that these numbers of symbols take the fewest bits; or nearly so, where limit
// matters. A symbol that is alone has one bit; one that does not occur has none.
func (h *huffman) lengths(lengths []uint8, counts []uint16, limit int) {
	clear(lengths)
	sorted := h.sorted[:0]
	for symbol, n := range counts {
		if n > 0 {
			sorted = append(sorted, uint32(n)<<symbolBits|uint32(symbol))
		}
	}
	slices.Sort(sorted)
	nodes := h.nodes[:len(sorted)]
	for i, s := range sorted {
		nodes[i] = s >> symbolBits
	}
	depths(nodes)
	var long [longestCode + 1]int // how many have so many bits
	for _, depth := range nodes {
		long[min(int(depth), limit)]++
	}
	fit(long[:limit+1])
	length := limit
	for _, s := range sorted { // the rarest first
		for long[length] == 0 {
			length--
		}
		long[length]--
		lengths[s&(1<<symbolBits-1)] = uint8(length) //nolint:gosec // at most longestCode
	}
}

// depths replaces ascending weights with the depths that they have in a Huffman
// tree (Moffat and Katajainen, "In-place calculation of minimum-redundancy
// codes", 1995).
func depths(nodes []uint32) {
	if len(nodes) < 2 {
		for i := range nodes {
			nodes[i] = 1
		}
		return
	}
	join(nodes)
	// join leaves a parent for each inner node but the root, which is the last but
	// one. Parents stand behind their children.
	root := len(nodes) - 2
	nodes[root] = 0
	for at := root - 1; at >= 0; at-- {
		nodes[at] = nodes[nodes[at]] + 1
	}
	// Of the places of a depth, those that no inner node has are leaves'.
	inner, leaf := root, len(nodes)-1
	for depth, places := uint32(0), 1; places > 0; depth++ {
		parents := 0
		for inner >= 0 && nodes[inner] == depth {
			parents++
			inner--
		}
		for ; places > parents; places-- {
			nodes[leaf] = depth
			leaf--
		}
		places = 2 * parents
	}
}

// join makes an inner node of the two lightest nodes again and again, until one
// is left. Inner nodes are made in the order of their weights, each in the
// place of a leaf that is joined already; where one is joined itself, its
// parent's place is put instead of its weight.
func join(nodes []uint32) {
	leaf, inner := 0, 0
	for made := range len(nodes) - 1 {
		weight := uint32(0)
		for range 2 {
			if leaf == len(nodes) || inner < made && nodes[inner] < nodes[leaf] {
				weight += nodes[inner]
				nodes[inner] = uint32(made)
				inner++
			} else {
				weight += nodes[leaf]
				leaf++
			}
		}
		nodes[made] = weight
	}
}

// fit makes numbers of codes of each length those of a prefix code again, after
// what was longer than the longest was cut to it. It takes one of the longest
// at a time and puts it beside a shorter one, which becomes a bit longer too.
func fit(long []int) {
	limit := len(long) - 1
	taken := 0 // of the 1<<limit places that codes of the longest have
	for length, n := range long {
		taken += n << (limit - length)
	}
	for ; taken > 1<<limit; taken-- {
		shorter := limit - 1
		for long[shorter] == 0 {
			shorter--
		}
		long[shorter]--
		long[shorter+1] += 2
		long[limit]--
	}
}

// assign sets the codes of symbols that have these lengths (RFC 1951, section
// 3.2.2).
func assign(codes []code, lengths []uint8) {
	var long, next [longestCode + 2]uint16
	for _, length := range lengths {
		long[length]++
	}
	long[0] = 0
	for length := 1; length <= longestCode; length++ {
		next[length+1] = (next[length] + long[length]) << 1
	}
	for symbol, length := range lengths {
		codes[symbol] = code{length: length}
		if length > 0 {
			codes[symbol].bits = bits.Reverse16(next[length]) >> (16 - length)
			next[length]++
		}
	}
}
