package deflate

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/klauspost/compress/flate"
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
// It copies dict and plain, so it allocates as much; the library leaves no
// other way.
func AppendBlocks(dst, plain, dict []byte) []byte {
	out, ok := writers.Get().(*appender)
	if !ok {
		out = &appender{}
	}
	defer writers.Put(out)
	out.bytes = dst
	if err := flate.StatelessDeflate(out, plain, false, dict); err != nil {
		// An appender takes everything, and the encoder has no other errors.
		panic(fmt.Sprintf("deflate: an append failed: %v", err))
	}
	dst, out.bytes = out.bytes, nil
	return dst
}

// AppendStored appends plain as stored blocks, which decode anywhere. It is for
// what only one client gets: nothing is computed, and five bytes are added for
// each 64 KiB.
func AppendStored(dst, plain []byte) []byte {
	for len(plain) > 0 {
		n := min(len(plain), largestStored)
		size := uint16(n)
		dst = append(dst, 0)
		dst = binary.LittleEndian.AppendUint16(dst, size)
		dst = binary.LittleEndian.AppendUint16(dst, ^size)
		dst = append(dst, plain[:n]...)
		plain = plain[n:]
	}
	return dst
}

// AppendEnd appends the last block, which is empty, and the trailer of a gzip
// member: sum is that of everything that the client's decoder has put out
// (RFC 1952, section 2.3.1).
func AppendEnd(dst []byte, sum Sum) []byte {
	dst = append(dst, 3, 0) // a final block of fixed codes that holds only its end
	dst = binary.LittleEndian.AppendUint32(dst, sum.crc)
	return binary.LittleEndian.AppendUint32(dst, uint32(sum.length)) //nolint:gosec // the length modulo 2^32 is what is asked for
}

// appender is the io.Writer that the encoder wants. It is pooled, for the
// conversion to an interface would allocate one a call.
type appender struct{ bytes []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.bytes = append(a.bytes, p...)
	return len(p), nil
}

//nolint:gochecknoglobals // a pool is shared by nature.
var writers sync.Pool
