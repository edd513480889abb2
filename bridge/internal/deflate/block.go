package deflate

// The kinds of blocks, behind a bit that says that none is the last (RFC 1951,
// section 3.2.3).
const (
	kindStored  = 0 << 1
	kindFixed   = 1 << 1
	kindDynamic = 2 << 1
	kindBits    = 3
)

// encoder is room to compress in. From one piece to the next of a frame its
// finder keeps the text, from one frame to the next nothing.
type encoder struct {
	finder  finder
	tokens  [longestPiece]token
	tally   tally
	lengths lengths
	header  header
	huffman huffman
	codes   codes
}

// append appends plain, at most longestPiece bytes, as the kind of block that
// takes the fewest bits.
func (e *encoder) append(w *bitWriter, plain []byte) {
	tokens := e.finder.parse(e.tokens[:0], plain)
	e.tally.count(tokens)
	e.huffman.lengths(e.lengths.symbols[:], e.tally.symbols[:], longestCode)
	e.huffman.lengths(e.lengths.distances[:], e.tally.distances[:], longestCode)
	e.header.describe(&e.lengths, &e.huffman)
	asStored := w.storedSize(len(plain))
	asFixed := e.tally.size(&fixedLengths)
	asDynamic := e.header.size() + e.tally.size(&e.lengths)
	switch {
	case asStored <= min(asFixed, asDynamic)+kindBits:
		w.stored(plain)
	case asFixed <= asDynamic:
		w.put(kindFixed, kindBits)
		fixedCodes.put(w, tokens)
	default:
		w.put(kindDynamic, kindBits)
		e.header.put(w)
		e.codes.assign(&e.lengths)
		e.codes.put(w, tokens)
	}
}

// tally is how often a block has each symbol.
type tally struct {
	symbols   [symbols]uint16
	distances [distances]uint16
	extra     int // bits behind symbols
}

func (t *tally) count(tokens []token) {
	*t = tally{}
	for _, token := range tokens {
		if !token.isMatch() {
			t.symbols[token]++
			continue
		}
		length, _, n := lengthSymbol(token.length())
		distance, _, m := distanceSymbol(token.distance())
		t.symbols[length]++
		t.distances[distance]++
		t.extra += int(n + m)
	}
	t.symbols[endOfBlock] = 1
}

// size returns how many bits the block has behind its header, if its codes are
// as long as that.
func (t *tally) size(l *lengths) int {
	size := t.extra
	for symbol, n := range &t.symbols {
		size += int(n) * int(l.symbols[symbol])
	}
	for symbol, n := range &t.distances {
		size += int(n) * int(l.distances[symbol])
	}
	return size
}

// lengths are how long a block's codes are, in bits; 0 where there is none.
type lengths struct {
	symbols   [symbols]uint8
	distances [distances]uint8
}

// codes are the codes of a block.
type codes struct {
	symbols   [symbols]code
	distances [distances]code
}

func (c *codes) assign(l *lengths) {
	assign(c.symbols[:], l.symbols[:])
	assign(c.distances[:], l.distances[:])
}

// put appends tokens, and the end of the block.
func (c *codes) put(w *bitWriter, tokens []token) {
	for _, token := range tokens {
		if !token.isMatch() {
			w.code(c.symbols[token], 0, 0)
			continue
		}
		length, extra, n := lengthSymbol(token.length())
		w.code(c.symbols[length], extra, n)
		distance, extra, n := distanceSymbol(token.distance())
		w.code(c.distances[distance], extra, n)
	}
	w.code(c.symbols[endOfBlock], 0, 0)
}

// fixedLengths and fixedCodes are those of a block that brings none (RFC 1951,
// section 3.2.6).
//
//nolint:gochecknoglobals // tables that never change.
var fixedLengths, fixedCodes = makeFixed()

func makeFixed() (l lengths, c codes) {
	// Two symbols that never occur have codes too.
	var all [symbols + 2]uint8
	for symbol := range all {
		switch {
		case symbol < 144, symbol >= 280:
			all[symbol] = 8
		case symbol < 256:
			all[symbol] = 9
		default:
			all[symbol] = 7
		}
	}
	var made [symbols + 2]code
	assign(made[:], all[:])
	copy(l.symbols[:], all[:])
	copy(c.symbols[:], made[:])
	for symbol := range l.distances {
		l.distances[symbol] = 5
	}
	assign(c.distances[:], l.distances[:])
	return l, c
}
