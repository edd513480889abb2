package bridge

import (
	"context"
	"runtime"

	"github.com/ssebridge/ssebridge/upstream"
)

// largeRendering is the size of wire bytes from which a message waits for a free
// processor to be rendered. Rendering takes several times a message's size in
// memory, and a hundred that are half done are of no use.
const largeRendering = 64 << 10

// renderings are the processors that large messages may be rendered on: all that
// the program has but one, which is left to small messages and to clients.
type renderings struct{ free chan struct{} }

func newRenderings() renderings {
	return renderings{make(chan struct{}, max(runtime.GOMAXPROCS(0)-1, 1))}
}

// begin waits for a processor, and returns what gives it back. Meanwhile the message is
// counted in its upstream's intake.
func (r renderings) begin(ctx context.Context, intake *upstream.Intake, wire []byte) (end func(), err error) {
	size := len(wire)
	if size < largeRendering {
		return func() {}, nil
	}
	intake.Add(size)
	select {
	case r.free <- struct{}{}:
		return func() {
			<-r.free
			intake.Done(size)
		}, nil
	case <-ctx.Done():
		intake.Done(size)
		return nil, ctx.Err()
	}
}
