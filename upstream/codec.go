package upstream

import (
	"fmt"

	// A backend may compress what it sends. grpc-go announces and knows only the
	// compressors that a program links, and an embedder's may link none.
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/mem"
)

// rawCodec hands messages through as the bytes they are on the wire. It is
// called "proto", so that a backend sees an ordinary content type.
type rawCodec struct{}

// request is a message to send. grpc-go may read it until the RPC ends, and so
// it must not change.
type request []byte

// frame is a received message: grpc-go's own buffers, with a reference held
// until free.
type frame struct{ buffers mem.BufferSlice }

// Name says what grpc-go announces as the content's sub-type.
func (rawCodec) Name() string { return "proto" }

// Marshal takes a request without copying it.
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	r, ok := v.(request)
	if !ok {
		return nil, fmt.Errorf("upstream: cannot send a %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(r)}, nil
}

// Unmarshal keeps the buffers for a *frame instead of decoding them.
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return fmt.Errorf("upstream: cannot receive into a %T", v)
	}
	f.free()
	data.Ref()
	f.buffers = data
	return nil
}

// lend calls fn with the message's bytes and frees them when it returns. A
// message that came in one buffer is not copied; another is put together in a
// pooled one.
func (f *frame) lend(fn func(wire []byte) error) error {
	whole := f.buffers.MaterializeToBuffer(mem.DefaultBufferPool())
	f.free()
	err := fn(whole.ReadOnlyData())
	whole.Free()
	return err
}

// take returns the message in memory of the caller's own.
func (f *frame) take() []byte {
	wire := f.buffers.Materialize()
	f.free()
	return wire
}

func (f *frame) free() {
	f.buffers.Free()
	f.buffers = nil
}
