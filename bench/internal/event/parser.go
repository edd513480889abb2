package event

import "bytes"

// Parser finds the events in a stream that comes in pieces. The zero value is at
// a stream's start.
type Parser struct {
	begun bool // a mark was the last thing but carried
	held  int8
	carry [stampDigits]byte // the digits of a stamp whose others are to come
}

// Feed calls found for each event whose stamp ends in piece, with its place and
// the Unix time in nanoseconds at which it was sent.
func (p *Parser) Feed(piece []byte, found func(place uint64, sent int64)) {
	if p.begun {
		n := copy(p.carry[p.held:], piece)
		piece = piece[n:]
		p.held += int8(n) //nolint:gosec // at most stampDigits
		if p.held < stampDigits {
			return
		}
		found(stamp(p.carry[:]))
		p.begun, p.held = false, 0
	}
	for {
		at := bytes.IndexByte(piece, mark)
		if at < 0 {
			return
		}
		piece = piece[at+1:]
		if len(piece) < stampDigits {
			p.begun, p.held = true, int8(copy(p.carry[:], piece)) //nolint:gosec // fewer than stampDigits
			return
		}
		found(stamp(piece[:stampDigits]))
		piece = piece[stampDigits:]
	}
}

// stamp reads a stamp's digits.
func stamp(digits []byte) (place uint64, sent int64) {
	for _, digit := range digits[:timeDigits] {
		sent = sent*10 + int64(digit-'0')
	}
	for _, digit := range digits[timeDigits:] {
		place = place*10 + uint64(digit-'0')
	}
	return place, sent
}
