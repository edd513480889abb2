package source

import (
	"context"
	"runtime"

	"github.com/ssebridge/ssebridge/upstream"
)

// LargeRendering is the size of wire bytes from which a message waits for a free
// processor to be rendered. Rendering takes several times a message's size in
// memory, and a hundred that are half done are of no use.
const LargeRendering = 64 << 10

// Processors are the processors that large messages may be rendered on, or large requests
// bound: all that the program has but one, which is left to small messages and to clients.
type Processors struct{ free chan struct{} }

// NewProcessors makes processors that are all free.
func NewProcessors() Processors {
	return Processors{make(chan struct{}, max(runtime.GOMAXPROCS(0)-1, 1))}
}

// Begin waits for a processor, and returns what gives it back. Meanwhile the message is
// counted in its upstream's intake.
func (p Processors) Begin(ctx context.Context, intake *upstream.Intake, wire []byte) (end func(), err error) {
	size := len(wire)
	if size < LargeRendering {
		return func() {}, nil
	}
	intake.Add(size)
	giveBack, err := p.Hold(ctx)
	if err != nil {
		intake.Done(size)
		return nil, err
	}
	return func() {
		giveBack()
		intake.Done(size)
	}, nil
}

// Hold waits for a processor, and returns what gives it back.
func (p Processors) Hold(ctx context.Context) (giveBack func(), err error) {
	select {
	case p.free <- struct{}{}:
		return func() { <-p.free }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
