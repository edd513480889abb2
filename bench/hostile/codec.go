package main

import (
	"sync"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec that is wrapped
	"google.golang.org/grpc/mem"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// codec is grpc's, but it marshals a large message once for all RPCs that send it: the
// bridge is to be short of memory, and not the backend.
type codec struct {
	encoding.CodecV2

	mu    sync.Mutex
	large map[int64][]byte // by the message's seq; 0: the unary answer
}

func newCodec() *codec {
	return &codec{CodecV2: encoding.GetCodecV2("proto"), large: map[int64][]byte{}}
}

// Marshal returns a message's bytes.
func (c *codec) Marshal(v any) (mem.BufferSlice, error) {
	var seq int64
	switch m := v.(type) {
	case *testv1.FeedEvent:
		if m.GetCursor() == "" {
			return c.CodecV2.Marshal(v)
		}
		seq = m.GetSeq()
	case *testv1.GetResponse:
		if len(m.GetName()) < largeText {
			return c.CodecV2.Marshal(v)
		}
	default:
		return c.CodecV2.Marshal(v)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	wire := c.large[seq]
	if wire == nil {
		buffers, err := c.CodecV2.Marshal(v)
		if err != nil {
			return nil, err
		}
		wire = buffers.Materialize()
		buffers.Free()
		if len(c.large) > 20 {
			unary := c.large[0]
			clear(c.large)
			if unary != nil {
				c.large[0] = unary
			}
		}
		c.large[seq] = wire
	}
	return mem.BufferSlice{mem.SliceBuffer(wire)}, nil
}
