package deflate

import (
	"encoding/binary"
	"sync"

	"github.com/klauspost/compress/flate"
)

const (
	// Window is how many bytes of a dictionary are used, at most. It is the
	// limit of flate.StatelessDeflate.
	Window = 8 << 10
	// Heartbeat is an empty stored block: bytes on the wire that decode to
	// nothing and are harmless anywhere between two pieces.
	Heartbeat = "\x00\x00\x00\xff\xff"
	// largestStored is the largest length of a stored block (RFC 1951, section
	// 3.2.4).
	largestStored = 1<<16 - 1
	// storedHeader is the length of a stored block's header that begins at a byte.
	storedHeader = 5
)

// AppendHeader appends the header of a gzip member: no name, no time, system
// unknown (RFC 1952, section 2.3).
func AppendHeader(dst []byte) []byte {
	return append(dst, 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255)
}

// AppendBlocks appends deflate blocks of plain. The last block is empty and
// stored, so that the blocks end at a byte and a decoder puts out all of plain.
// The blocks decode only directly behind dict, of which the last Window bytes
// are used, or anywhere if dict is empty. AppendBlocks keeps neither plain nor
// dict, and no state from one call to the next.
//
// The blocks never take more than AppendStored and a Heartbeat do. The time is
// linear in the length of plain, whatever its content.
func AppendBlocks(dst, plain, dict []byte) []byte {
	w, ok := writers.Get().(*writer)
	if !ok {
		w = new(writer)
	}
	defer writers.Put(w)
	w.out = dst
	err := flate.StatelessDeflate(w, plain, false, dict)
	out := w.out
	w.out = nil // the pool must not keep the caller's bytes
	if err != nil || len(out)-len(dst) > storedSize(len(plain))+len(Heartbeat) {
		return append(AppendStored(dst, plain), Heartbeat...)
	}
	return out
}

// AppendBlocksApart is AppendBlocks on a goroutine of its own, which ends before
// it returns. flate has a table of 16 KiB on its stack. A goroutine that serves
// one client should not grow to that: 32 KiB would stay with it until the
// collector halves it, once a cycle.
func AppendBlocksApart(dst, plain, dict []byte) []byte {
	var out []byte
	var apart sync.WaitGroup
	apart.Go(func() { out = AppendBlocks(dst, plain, dict) })
	apart.Wait()
	return out
}

// writer appends the output of flate, which writes to an io.Writer only. It
// comes from a pool because flate makes it escape.
type writer struct{ out []byte }

func (w *writer) Write(p []byte) (int, error) {
	w.out = append(w.out, p...)
	return len(p), nil
}

//nolint:gochecknoglobals // a pool is shared by nature.
var writers sync.Pool

// AppendStored appends plain as stored blocks, which decode anywhere. It is for
// bytes that only one client gets: it compresses nothing, and adds five bytes
// for each 64 KiB.
func AppendStored(dst, plain []byte) []byte {
	for len(plain) > 0 {
		n := min(len(plain), largestStored)
		size := uint16(n)
		dst = append(dst, 0x00) // a stored block that is not the last, padded to a byte
		dst = binary.LittleEndian.AppendUint16(dst, size)
		dst = binary.LittleEndian.AppendUint16(dst, ^size)
		dst = append(dst, plain[:n]...)
		plain = plain[n:]
	}
	return dst
}

// storedSize returns how many bytes AppendStored appends for n bytes.
func storedSize(n int) int {
	return n + (n+largestStored-1)/largestStored*storedHeader
}

// AppendEnd appends the last block, which is empty, and the trailer of a gzip
// member: sum is that of everything that the client's decoder has put out
// (RFC 1952, section 2.3.1).
func AppendEnd(dst []byte, sum Sum) []byte {
	dst = append(dst, 3, 0) // a final block of fixed codes that holds only its end
	dst = binary.LittleEndian.AppendUint32(dst, sum.crc)
	return binary.LittleEndian.AppendUint32(dst, uint32(sum.length)) //nolint:gosec // the trailer holds the length modulo 2^32
}
