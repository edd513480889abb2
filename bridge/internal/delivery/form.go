package delivery

import (
	"github.com/ssebridge/ssebridge/bridge/internal/deflate"
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// form is how a client's blocks are spelt on its connection. Its result is valid
// until the next call, and counts as sent.
//
//nolint:interfacebloat // each is a part of how a stream is spelt, and no caller needs fewer.
type form interface {
	// read returns frames of a log after a position, and the position behind
	// them, as replay.Log.Read does.
	read(log *replay.Log, position uint64) (blocks [][]byte, next uint64, err error)
	// unread says that the blocks which read has returned last are not sent.
	unread()
	// own spells a block that no log holds, at a position of the log.
	own(block []byte, position uint64) [][]byte
	// comment spells one that says nothing, and returns how many bytes of it
	// the client's reader sees.
	comment(block []byte) (blocks [][]byte, seen int)
	// broken says that the client goes on at a position which does not follow
	// the frames before.
	broken(position uint64)
	// end returns the last bytes of a stream that ends well.
	end() [][]byte
}

// newForm returns the form for a client: compressed or not; in chunks of
// HTTP/1.1, or for a writer that does its own framing.
func newForm(gzip, chunks bool) form {
	switch {
	case gzip:
		return &zipped{chunks: chunks}
	case chunks:
		return &chunked{}
	}
	return &plain{}
}

// plain spells blocks as they are.
type plain struct {
	blocks [][]byte
}

func (p *plain) read(log *replay.Log, position uint64) (blocks [][]byte, next uint64, err error) {
	clear(p.blocks) // lets go of the segments
	p.blocks, next, err = log.Read(position, batch, p.blocks[:0])
	return p.blocks, next, err
}

func (p *plain) own(block []byte, _ uint64) [][]byte {
	p.blocks = append(p.blocks[:0], block)
	return p.blocks
}

func (p *plain) comment(block []byte) (blocks [][]byte, seen int) { return p.own(block, 0), len(block) }

func (*plain) unread()       {}
func (*plain) broken(uint64) {}
func (*plain) end() [][]byte { return nil }

// chunked spells blocks as chunks, one slice at a time.
type chunked struct {
	block [1][]byte
}

func (c *chunked) read(log *replay.Log, position uint64) (blocks [][]byte, next uint64, err error) {
	c.block[0], next, err = log.Chunks(position, batch)
	return c.one(), next, err
}

func (c *chunked) one() [][]byte {
	if len(c.block[0]) == 0 {
		return nil
	}
	return c.block[:]
}

func (c *chunked) own(block []byte, _ uint64) [][]byte {
	c.block[0] = replay.AppendChunk(nil, block)
	return c.one()
}

func (c *chunked) comment(block []byte) (blocks [][]byte, seen int) {
	return c.own(block, 0), len(block)
}

func (*chunked) unread()       {}
func (*chunked) broken(uint64) {}

func (c *chunked) end() [][]byte {
	c.block[0] = []byte(lastChunk)
	return c.block[:]
}

// lastChunk ends a chunked response well (RFC 9112, section 7.1).
const lastChunk = "0\r\n\r\n"

// zipped spells blocks as pieces of a gzip stream, in chunks or not.
type zipped struct {
	chunks bool
	begun  bool
	// whole is the position of the log since which the client's output is
	// exactly its frames; sum is that of all output.
	whole  uint64
	sum    deflate.Sum
	before deflate.Sum // sum without what read has returned last
	blocks [][]byte
}

func (z *zipped) read(log *replay.Log, position uint64) (blocks [][]byte, next uint64, err error) {
	var sum deflate.Sum
	clear(z.blocks)
	z.blocks = z.blocks[:0]
	if z.chunks {
		var chunks []byte
		if chunks, next, sum, err = log.GzipChunks(position, z.whole, batch); len(chunks) > 0 {
			z.blocks = append(z.blocks, chunks)
		}
	} else {
		z.blocks, next, sum, err = log.ReadGzip(position, z.whole, batch, z.blocks)
	}
	z.before, z.sum = z.sum, z.sum.Then(sum)
	return z.blocks, next, err
}

func (z *zipped) unread() { z.sum = z.before }

// own spells a block of the client's own as stored: it is in no other client's
// output, so that nothing that refers to what came before may follow it until
// the log's next chain begins. An empty block follows, without which some
// decoders (compress/flate is one) keep what they have read to themselves.
func (z *zipped) own(block []byte, position uint64) [][]byte {
	var dst []byte
	if !z.begun {
		z.begun = true
		dst = deflate.AppendHeader(dst)
	}
	z.whole = position
	z.sum = z.sum.Then(deflate.SumOf(block))
	return z.spell(append(deflate.AppendStored(dst, block), deflate.Heartbeat...))
}

func (z *zipped) comment([]byte) (blocks [][]byte, seen int) {
	return z.spell([]byte(deflate.Heartbeat)), 0
}

func (z *zipped) broken(position uint64) { z.whole = position }

func (z *zipped) spell(piece []byte) [][]byte {
	if z.chunks {
		piece = replay.AppendChunk(nil, piece)
	}
	z.blocks = append(z.blocks[:0], piece)
	return z.blocks
}

func (z *zipped) end() [][]byte {
	end := z.spell(deflate.AppendEnd(nil, z.sum))
	if z.chunks {
		end = append(end, []byte(lastChunk))
	}
	return end
}
