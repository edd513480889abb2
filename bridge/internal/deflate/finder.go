package deflate

import (
	"encoding/binary"
	"math/bits"
)

const (
	// longestPiece is how many bytes are compressed at once. Longer input is cut,
	// and each piece has the end of the one before as its dictionary.
	longestPiece = 4 << 10
	// tries is how many earlier places a match is looked for at, latest first.
	tries = 16
	// enoughMatch is the length of a match that is good enough to look no
	// further.
	enoughMatch = 64
	// patience is after how many literals in a row one more place is left out
	// between two that are looked at: what does not compress is not to take long.
	patience = 64
	hashBits = 11
)

// A parse goes by guesses of the bits that things will take, since their codes are
// made when it is over. They suit text with numbers, whose digits are most of the
// remaining literals and so have the shortest codes.
const (
	priceOfDigit   = 3
	priceOfLiteral = 7
	priceOfMatch   = 10 // and as many as its distance has
)

// finder finds what a text has had before. A place in the text is looked up by
// a hash of the four bytes there; places of one hash are linked, latest first.
type finder struct {
	text   [Window + longestPiece + 8]byte // 8 can be read from everywhere
	last   [1 << hashBits]uint16           // the last place with a hash, plus 1
	before [Window + longestPiece]uint16   // the place before with the same hash, plus 1
	end    int                             // of the text
	looked int                             // how many places were compared, ever
}

// found is a match and what it saves against literals, in bits; the zero found
// is none.
type found struct {
	length, distance, saved int
}

// parse appends the tokens of plain, at most longestPiece bytes, which stands
// behind what was parsed before or else behind the dictionary.
//
// As zlib does it, a match is put off by one literal if the next place has a
// better one; better is here what saves more bits, not what is longer.
func (f *finder) parse(dst []token, plain []byte) []token {
	at := f.load(plain)
	best := f.look(at)
	missed := 0 // literals since the last match
	for at < f.end {
		if best.length == 0 {
			end := min(at+1+missed/patience, f.end)
			for missed += end - at; at < end; at++ {
				dst = append(dst, literal(f.text[at]))
			}
			best = f.look(at)
			continue
		}
		missed = 0
		known := at + 1 // places before it have been looked at
		if best.length < enoughMatch {
			next := f.look(known)
			if next.saved > best.saved {
				dst = append(dst, literal(f.text[at]))
				at, best = known, next
				continue
			}
			known++
		}
		dst = append(dst, match(best.length, best.distance))
		at += best.length
		f.link(known, at)
		best = f.look(at)
	}
	return dst
}

// begin makes the end of dict all that was before.
func (f *finder) begin(dict []byte) {
	f.end = copy(f.text[:Window], dict[max(0, len(dict)-Window):])
}

// load puts plain behind the last Window bytes of the text, and returns where.
func (f *finder) load(plain []byte) int {
	at := copy(f.text[:Window], f.text[max(0, f.end-Window):f.end])
	f.end = at + copy(f.text[at:at+longestPiece], plain)
	clear(f.last[:])
	f.link(0, at)
	return at
}

// link makes the places from one up to another known.
func (f *finder) link(from, to int) {
	to = min(to, f.end-shortestMatch+1)
	for at := from; at < to; at++ {
		hash := f.hash(at)
		f.before[at] = f.last[hash]
		f.last[hash] = uint16(at + 1) //nolint:gosec // below Window+longestPiece
	}
}

// hash is of the four bytes at a place.
func (f *finder) hash(at int) uint32 {
	const golden = 0x9e3779b1 // 2^32 over the golden ratio (Knuth, volume 3, section 6.4)
	return f.four(at) * golden >> (32 - hashBits)
}

func (f *finder) four(at int) uint32 { return binary.LittleEndian.Uint32(f.text[at:]) }

// look returns the match at a place that saves the most, and makes the place
// known.
func (f *finder) look(at int) (best found) {
	if at > f.end-shortestMatch {
		return found{}
	}
	hash := f.hash(at)
	place := f.last[hash]
	f.last[hash], f.before[at] = uint16(at+1), place //nolint:gosec // below Window+longestPiece
	longest := min(f.end-at, longestMatch)
	length, literals := shortestMatch-1, f.price(at, at+shortestMatch-1)
	for try := 0; place != 0 && try < tries; try++ {
		f.looked++
		earlier := int(place) - 1
		place = f.before[earlier]
		// It is longer only if it also ends the same.
		if f.four(earlier+length-3) != f.four(at+length-3) {
			continue
		}
		n := f.common(earlier, at, longest)
		if n <= length {
			continue
		}
		literals += f.price(at+length, at+n)
		length = n
		saved := literals - priceOfMatch - bits.Len32(uint32(at-earlier)) //nolint:gosec // it is positive
		if saved > best.saved {
			best = found{length: n, distance: at - earlier, saved: saved}
		}
		if n >= enoughMatch || n == longest {
			break
		}
	}
	return best
}

// common returns how many bytes at two places are the same, limit at most.
func (f *finder) common(a, b, limit int) int {
	for n := 0; n < limit; n += 8 {
		differ := binary.LittleEndian.Uint64(f.text[a+n:]) ^ binary.LittleEndian.Uint64(f.text[b+n:])
		if differ != 0 {
			return min(n+bits.TrailingZeros64(differ)>>3, limit)
		}
	}
	return limit
}

// price guesses what the bytes from one place to another take as literals.
func (f *finder) price(from, to int) (sum int) {
	for _, b := range f.text[from:to] {
		if b-'0' < 10 || b == '.' {
			sum += priceOfDigit
		} else {
			sum += priceOfLiteral
		}
	}
	return sum
}
