package deflate

import (
	"encoding/binary"
	"sync"
)

const (
	// Window is how many bytes of a dictionary are used, at most.
	Window = 8 << 10
	// Heartbeat is an empty stored block: bytes on the wire that decode to
	// nothing and are harmless anywhere between two pieces.
	Heartbeat = "\x00\x00\x00\xff\xff"
	// largestStored is what the length of a stored block can say (RFC 1951,
	// section 3.2.4).
	largestStored = 1<<16 - 1
)

// AppendHeader appends the header of a gzip member: no name, no time, system
// unknown (RFC 1952, section 2.3).
func AppendHeader(dst []byte) []byte {
	return append(dst, 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255)
}

// AppendBlocks appends deflate blocks of plain that end at a byte, with an
// empty stored block. They are to be decoded directly behind dict, of which the
// last Window bytes are used, or anywhere where dict is empty. Neither plain
// nor dict is kept; no state goes from one call to the next.
//
// The time it takes is linear in the length of plain, whatever is in it.
func AppendBlocks(dst, plain, dict []byte) []byte {
	e, ok := encoders.Get().(*encoder)
	if !ok {
		e = new(encoder)
	}
	defer encoders.Put(e)
	w := bitWriter{out: dst}
	e.finder.begin(dict)
	for len(plain) > 0 {
		n := min(len(plain), longestPiece)
		e.append(&w, plain[:n])
		plain = plain[n:]
	}
	w.stored(nil)
	return w.out
}

// AppendStored appends plain as stored blocks, which decode anywhere. It is for
// what only one client gets: nothing is computed, and five bytes are added for
// each 64 KiB.
func AppendStored(dst, plain []byte) []byte {
	for len(plain) > 0 {
		n := min(len(plain), largestStored)
		dst = appendStoredBody(append(dst, kindStored), plain[:n])
		plain = plain[n:]
	}
	return dst
}

// appendStoredBody appends what of a stored block begins at a byte.
func appendStoredBody(dst, plain []byte) []byte {
	size := uint16(len(plain)) //nolint:gosec // at most largestStored
	dst = binary.LittleEndian.AppendUint16(dst, size)
	dst = binary.LittleEndian.AppendUint16(dst, ^size)
	return append(dst, plain...)
}

// AppendEnd appends the last block, which is empty, and the trailer of a gzip
// member: sum is that of everything that the client's decoder has put out
// (RFC 1952, section 2.3.1).
func AppendEnd(dst []byte, sum Sum) []byte {
	dst = append(dst, 3, 0) // a final block of fixed codes that holds only its end
	dst = binary.LittleEndian.AppendUint32(dst, sum.crc)
	return binary.LittleEndian.AppendUint32(dst, uint32(sum.length)) //nolint:gosec // the length modulo 2^32 is what is asked for
}

//nolint:gochecknoglobals // a pool is shared by nature.
var encoders sync.Pool
