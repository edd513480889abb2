package delivery

import (
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// form is how a client's blocks are spelt on its connection. It keeps what it
// returns until it is asked again.
type form interface {
	// read returns frames of a log after a position, and the position behind
	// them, as replay.Log.Read does.
	read(log *replay.Log, position uint64) (blocks [][]byte, next uint64, err error)
	// own spells a block that no log holds, at a position of the log.
	own(block []byte, position uint64) [][]byte
	// comment spells one that says nothing.
	comment(block []byte) [][]byte
	// weighs returns how much of a comment the client's reader sees.
	weighs(comment []byte) int
	// broken says that the client goes on at a position which does not follow
	// the frames before.
	broken(position uint64)
	// end returns the last bytes of a stream that ends well.
	end() []byte
}

// plain spells blocks as they are, for a writer that does its own framing.
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

func (p *plain) comment(block []byte) [][]byte { return p.own(block, 0) }
func (*plain) weighs(comment []byte) int       { return len(comment) }
func (*plain) broken(uint64)                   {}
func (*plain) end() []byte                     { return nil }
