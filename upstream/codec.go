package upstream

import (
	"fmt"

	// A backend may compress its messages. grpc-go announces only the compressors that the program
	// links, and an embedder may link none.
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/mem"
)

// rawCodec passes messages through as wire bytes. Its name is "proto", so that a backend sees an
// ordinary content type.
type rawCodec struct{}

// request is a message to send. grpc-go may read it until the RPC ends, so it must not change.
type request []byte

// frame is a received message: grpc-go's own buffers, referenced until free.
type frame struct{ buffers mem.BufferSlice }

// Name returns the content subtype that grpc-go announces.
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

// lend calls fn with the message's bytes and frees them when it returns. A message in one buffer is
// not copied; one in several is joined in a pooled buffer.
func (f *frame) lend(fn func(wire []byte) error) error {
	whole := f.buffers.MaterializeToBuffer(mem.DefaultBufferPool())
	f.free()
	err := fn(whole.ReadOnlyData())
	whole.Free()
	return err
}

// take returns the message in memory that the caller owns.
func (f *frame) take() []byte {
	wire := f.buffers.Materialize()
	f.free()
	return wire
}

func (f *frame) free() {
	f.buffers.Free()
	f.buffers = nil
}
