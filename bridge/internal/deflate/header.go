package deflate

// header says how long the codes of a dynamic block are: in runs, which have a
// code of their own (RFC 1951, section 3.2.7).
type header struct {
	symbols, distances int // of which there are lengths
	room               [symbols + distances]run
	runs               []run
	counts             [runSymbols]uint16
	ordered            int // in runOrder, of which there are lengths
	lengths            [runSymbols]uint8
	codes              [runSymbols]code
}

// run is a symbol of the runs' alphabet, and the bits behind it.
type run struct {
	symbol, extra uint8
}

// The runs' alphabet: that so many bits are a code's length, or that the length
// before is there again, or that there are so many without a code.
const (
	runAgain    = 16 // 3 to 6 times
	runNone     = 17 // 3 to 10
	runLongNone = 18 // 11 to 138
	runSymbols  = 19
)

// runExtra is how many bits are behind each symbol; runOrder is how their
// codes' lengths are ordered.
//
//nolint:gochecknoglobals // tables that never change.
var (
	runExtra = [runSymbols]uint8{runAgain: 2, runNone: 3, runLongNone: 7}
	runOrder = [runSymbols]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
)

// describe makes the header for codes of these lengths.
func (h *header) describe(l *lengths, huffman *huffman) {
	h.runs = h.room[:0]
	h.counts = [runSymbols]uint16{}
	h.symbols = h.cut(l.symbols[:], endOfBlock+1)
	h.distances = h.cut(l.distances[:], 1)
	huffman.lengths(h.lengths[:], h.counts[:], longestRunCode)
	h.ordered = runSymbols
	for h.ordered > 4 && h.lengths[runOrder[h.ordered-1]] == 0 {
		h.ordered--
	}
}

// cut cuts lengths into runs, without the zeros behind them, and returns how
// many there are; least at least.
func (h *header) cut(lengths []uint8, least int) int {
	size := len(lengths)
	for size > least && lengths[size-1] == 0 {
		size--
	}
	for at := 0; at < size; {
		begin, length := at, lengths[at]
		for at < size && lengths[at] == length {
			at++
		}
		if length == 0 {
			h.none(at - begin)
		} else {
			h.add(length, 0)
			h.again(length, at-begin-1)
		}
	}
	return size
}

// none adds that n symbols have no code.
func (h *header) none(n int) {
	for n >= 11 {
		k := min(n, 138)
		h.add(runLongNone, k-11)
		n -= k
	}
	if n >= 3 {
		h.add(runNone, n-3)
		n = 0
	}
	for ; n > 0; n-- {
		h.add(0, 0)
	}
}

// again adds that n more symbols have the length before.
func (h *header) again(length uint8, n int) {
	for n >= 3 {
		k := min(n, 6)
		h.add(runAgain, k-3)
		n -= k
	}
	for ; n > 0; n-- {
		h.add(length, 0)
	}
}

func (h *header) add(symbol uint8, extra int) {
	h.runs = append(h.runs, run{symbol: symbol, extra: uint8(extra)}) //nolint:gosec // at most 127
	h.counts[symbol]++
}

// size is how many bits put appends.
func (h *header) size() int {
	size := 5 + 5 + 4 + 3*h.ordered
	for symbol, n := range &h.counts {
		size += int(n) * int(h.lengths[symbol]+runExtra[symbol])
	}
	return size
}

func (h *header) put(w *bitWriter) {
	w.put(uint32(h.symbols-endOfBlock-1), 5) //nolint:gosec // at most 29
	w.put(uint32(h.distances-1), 5)          //nolint:gosec // at most 29
	w.put(uint32(h.ordered-4), 4)            //nolint:gosec // at most 15
	for _, symbol := range runOrder[:h.ordered] {
		w.put(uint32(h.lengths[symbol]), 3)
	}
	assign(h.codes[:], h.lengths[:])
	for _, run := range h.runs {
		w.code(h.codes[run.symbol], uint32(run.extra), uint(runExtra[run.symbol]))
	}
}
