package deflate

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// kind is that of the first block.
func kind(blocks []byte) byte { return blocks[0] & (1<<kindBits - 1) }

func TestTheCheapestKindIsTaken(t *testing.T) {
	random := rand.New(rand.NewPCG(41, 42))
	noise := make([]byte, 1000)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	quotes, dicts := frames(10)
	for _, c := range []struct {
		name        string
		plain, dict []byte
		want        byte
		size        int
	}{
		{"nothing", nil, quotes[0], kindStored, len(Heartbeat)},
		{"noise", noise, nil, kindStored, len(noise) + 5 + len(Heartbeat)},
		{"a little", []byte("a"), nil, kindFixed, 3 + 4},
		{"a frame again", quotes[0], quotes[0], kindFixed, 12},
		{"a frame", quotes[9], dicts[9], kindDynamic, len(quotes[9]) * 2 / 5},
	} {
		if out := AppendBlocks(nil, c.plain, c.dict); kind(out) != c.want || len(out) > c.size {
			t.Errorf("%s: %d bytes of kind %d", c.name, len(out), kind(out)>>1)
		}
	}
}

// The choice is right only if sizes are what is written.
func TestSizesAreThoseWritten(t *testing.T) {
	random := rand.New(rand.NewPCG(43, 44))
	e := new(encoder)
	written := func(w *bitWriter) int { return 8*len(w.out) + int(w.n) }
	for range 2000 {
		plain := sample(random, random.IntN(longestPiece+1))
		var w bitWriter
		e.finder.begin(plain[:len(plain)/3])
		e.append(&w, plain) // leaves lengths and a header
		tokens := e.finder.parse(nil, plain)
		e.tally.count(tokens)
		w = bitWriter{}
		if fixedCodes.put(&w, tokens); written(&w) != e.tally.size(&fixedLengths) {
			t.Fatalf("%d bits in fixed codes, want %d", written(&w), e.tally.size(&fixedLengths))
		}
		e.huffman.lengths(e.lengths.symbols[:], e.tally.symbols[:], longestCode)
		e.huffman.lengths(e.lengths.distances[:], e.tally.distances[:], longestCode)
		e.header.describe(&e.lengths, &e.huffman)
		w = bitWriter{}
		if e.header.put(&w); written(&w) != e.header.size() {
			t.Fatalf("%d bits of a header, want %d", written(&w), e.header.size())
		}
		e.codes.assign(&e.lengths)
		w = bitWriter{}
		if e.codes.put(&w, tokens); written(&w) != e.tally.size(&e.lengths) {
			t.Fatalf("%d bits, want %d", written(&w), e.tally.size(&e.lengths))
		}
		w = bitWriter{}
		w.put(1<<random.IntN(8), 8)
		w.put(0, uint(random.IntN(24)))
		before, size := written(&w), w.storedSize(len(plain))
		if w.stored(plain); written(&w)-before != size {
			t.Fatalf("%d bits stored, want %d", written(&w)-before, size)
		}
	}
}

// A header's runs say what the lengths are.
func TestHeader(t *testing.T) {
	random := rand.New(rand.NewPCG(45, 46))
	var h header
	var room huffman
	for range 5000 {
		var l lengths
		for all := [][]uint8{l.symbols[:], l.distances[:]}; len(all) > 0; all = all[1:] {
			for at := 0; at < len(all[0]); {
				n := min(1+random.IntN(1<<random.IntN(9)), len(all[0])-at)
				length := uint8(max(0, random.IntN(24)-8))
				copy(all[0][at:], bytes.Repeat([]byte{length}, n))
				at += n
			}
		}
		h.describe(&l, &room)
		var got []uint8
		for _, run := range h.runs {
			switch run.symbol {
			case runAgain:
				got = append(got, bytes.Repeat(got[len(got)-1:], int(run.extra)+3)...)
			case runNone:
				got = append(got, make([]byte, run.extra+3)...)
			case runLongNone:
				got = append(got, make([]byte, run.extra+11)...)
			default:
				got = append(got, run.symbol)
			}
		}
		if len(got) != h.symbols+h.distances || h.symbols < endOfBlock+1 || h.distances < 1 {
			t.Fatalf("%d lengths for %d and %d", len(got), h.symbols, h.distances)
		}
		var again lengths
		copy(again.symbols[:], got[:h.symbols])
		copy(again.distances[:], got[h.symbols:])
		if again != l {
			t.Fatalf("%v, want %v", again, l)
		}
	}
}
