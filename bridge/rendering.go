package bridge

import (
	"context"
	"runtime"
)

// largeRendering is from which size on of its wire bytes a message waits to be
// rendered until a processor is free for it. Rendering takes several times a
// message's size in memory, and a hundred that are half done are of no use.
const largeRendering = 64 << 10

// renderings are the processors that large messages may be rendered on: a bridge
// has as many as the program.
type renderings struct{ free chan struct{} }

func newRenderings() renderings {
	return renderings{make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// begin waits for a processor, which is to be given back by end if there is one.
func (r renderings) begin(ctx context.Context, wire []byte) (begun bool, err error) {
	if len(wire) < largeRendering {
		return false, nil
	}
	select {
	case r.free <- struct{}{}:
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (r renderings) end(begun bool) {
	if begun {
		<-r.free
	}
}
