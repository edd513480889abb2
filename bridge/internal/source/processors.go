package source

import (
	"context"
	"runtime"

	"github.com/ssebridge/ssebridge/upstream"
)

// LargeRendering is the size of wire bytes from which a message waits for a free processor
// before it is rendered. Rendering takes several times a message's size in memory, so few
// large messages are rendered at a time.
const LargeRendering = 64 << 10

// Processors limits how many large messages are rendered, or large requests bound, at a time:
// to one less than GOMAXPROCS, so that one processor is left to small messages and to
// clients.
type Processors struct{ free chan struct{} }

// NewProcessors returns Processors that are all free.
func NewProcessors() Processors {
	return Processors{make(chan struct{}, max(runtime.GOMAXPROCS(0)-1, 1))}
}

// Begin waits for a processor to render a message, and returns a function that releases it.
// Until then the message is counted in its upstream's intake. A small message needs no
// processor.
func (p Processors) Begin(ctx context.Context, intake *upstream.Intake, wire []byte) (end func(), err error) {
	size := len(wire)
	if size < LargeRendering {
		return func() {}, nil
	}
	intake.Add(size)
	release, err := p.Acquire(ctx)
	if err != nil {
		intake.Done(size)
		return nil, err
	}
	return func() {
		release()
		intake.Done(size)
	}, nil
}

// Acquire waits for a processor, and returns a function that releases it.
func (p Processors) Acquire(ctx context.Context) (release func(), err error) {
	select {
	case p.free <- struct{}{}:
		return func() { <-p.free }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
