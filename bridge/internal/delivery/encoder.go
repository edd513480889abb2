package delivery

import (
	"github.com/ssebridge/ssebridge/bridge/internal/deflate"
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// encoder turns a client's blocks into the bytes of its connection. What a method returns is valid until
// the next call, and must be sent unless unread is called.
//
//nolint:interfacebloat // all of it is one encoding, and every caller needs it whole.
type encoder interface {
	// read returns the frames of a log after a position, and the position of the last one, like
	// replay.Log.Read.
	read(log *replay.Log, position uint64) (blocks [][]byte, next uint64, err error)
	// unread undoes the last read, whose blocks are not sent.
	unread()
	// ownBlock encodes a block that is not in the log, for a client at the given position.
	ownBlock(block []byte, position uint64) [][]byte
	// comment encodes a comment. seen is how many of its bytes reach the client's SSE parser: none with
	// gzip, where an empty deflate block takes its place.
	comment(block []byte) (blocks [][]byte, seen int)
	// skipTo reports that the client continues at a position that does not follow the last frame that it
	// was sent.
	skipTo(position uint64)
	// end returns the last bytes of a response that is complete.
	end() [][]byte
}

// newEncoder returns an encoder. chunks says that it must add the framing of HTTP/1.1 chunks; it is false
// if net/http adds the framing.
func newEncoder(gzip, chunks bool) encoder {
	switch {
	case gzip:
		return &gzipped{chunks: chunks}
	case chunks:
		return &chunked{}
	}
	return &plain{}
}

// plain returns blocks as they are.
type plain struct {
	blocks [][]byte
}

func (p *plain) read(log *replay.Log, position uint64) (blocks [][]byte, next uint64, err error) {
	clear(p.blocks) // lets the log's memory be freed
	p.blocks, next, err = log.Read(position, batchBytes, p.blocks[:0])
	return p.blocks, next, err
}

func (p *plain) ownBlock(block []byte, _ uint64) [][]byte {
	p.blocks = append(p.blocks[:0], block)
	return p.blocks
}

func (p *plain) comment(block []byte) (blocks [][]byte, seen int) {
	return p.ownBlock(block, 0), len(block)
}

func (*plain) unread()       {}
func (*plain) skipTo(uint64) {}
func (*plain) end() [][]byte { return nil }

// chunked encodes blocks as chunks. All chunks of a read are one slice.
type chunked struct {
	block [1][]byte
}

func (c *chunked) read(log *replay.Log, position uint64) (blocks [][]byte, next uint64, err error) {
	c.block[0], next, err = log.Chunks(position, batchBytes)
	return c.one(), next, err
}

func (c *chunked) one() [][]byte {
	if len(c.block[0]) == 0 {
		return nil
	}
	return c.block[:]
}

func (c *chunked) ownBlock(block []byte, _ uint64) [][]byte {
	c.block[0] = replay.AppendChunk(nil, block)
	return c.one()
}

func (c *chunked) comment(block []byte) (blocks [][]byte, seen int) {
	return c.ownBlock(block, 0), len(block)
}

func (*chunked) unread()       {}
func (*chunked) skipTo(uint64) {}

func (c *chunked) end() [][]byte {
	c.block[0] = []byte(lastChunk)
	return c.block[:]
}

// lastChunk ends a complete response (RFC 9112, section 7.1).
const lastChunk = "0\r\n\r\n"

// gzipped encodes blocks as pieces of a gzip stream, with or without chunks.
type gzipped struct {
	chunks     bool
	headerSent bool
	// unbroken is the position since which the output is exactly the frames of the log, see
	// replay.Log.GzipChunks. sum is the checksum of all output.
	unbroken  uint64
	sum       deflate.Sum
	sumBefore deflate.Sum // sum before the last read
	blocks    [][]byte
}

func (z *gzipped) read(log *replay.Log, position uint64) (blocks [][]byte, next uint64, err error) {
	var sum deflate.Sum
	clear(z.blocks)
	z.blocks = z.blocks[:0]
	if z.chunks {
		var chunks []byte
		if chunks, next, sum, err = log.GzipChunks(position, z.unbroken, batchBytes); len(chunks) > 0 {
			z.blocks = append(z.blocks, chunks)
		}
	} else {
		z.blocks, next, sum, err = log.ReadGzip(position, z.unbroken, batchBytes, z.blocks)
	}
	z.sumBefore, z.sum = z.sum, z.sum.Then(sum)
	return z.blocks, next, err
}

func (z *gzipped) unread() { z.sum = z.sumBefore }

// ownBlock encodes a block as a stored deflate block. Compressed frames are shared by all clients, and
// the others do not have this block, so the frames after it must not refer back past it: unbroken moves
// to the client's position. The empty deflate block at the end makes decoders such as compress/flate
// return the block at once.
func (z *gzipped) ownBlock(block []byte, position uint64) [][]byte {
	var dst []byte
	if !z.headerSent {
		z.headerSent = true
		dst = deflate.AppendHeader(dst)
	}
	z.unbroken = position
	z.sum = z.sum.Then(deflate.SumOf(block))
	return z.encode(append(deflate.AppendStored(dst, block), deflate.Heartbeat...))
}

func (z *gzipped) comment([]byte) (blocks [][]byte, seen int) {
	return z.encode([]byte(deflate.Heartbeat)), 0
}

func (z *gzipped) skipTo(position uint64) { z.unbroken = position }

func (z *gzipped) encode(piece []byte) [][]byte {
	if z.chunks {
		piece = replay.AppendChunk(nil, piece)
	}
	z.blocks = append(z.blocks[:0], piece)
	return z.blocks
}

func (z *gzipped) end() [][]byte {
	end := z.encode(deflate.AppendEnd(nil, z.sum))
	if z.chunks {
		end = append(end, []byte(lastChunk))
	}
	return end
}
