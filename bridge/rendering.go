package bridge

import (
	"context"
	"net/http"
	"runtime"

	"github.com/ssebridge/ssebridge/bridge/internal/route"
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
	giveBack, err := r.hold(ctx)
	if err != nil {
		intake.Done(size)
		return nil, err
	}
	return func() {
		giveBack()
		intake.Done(size)
	}, nil
}

// hold waits for a processor, and returns what gives it back.
func (r renderings) hold(ctx context.Context) (giveBack func(), err error) {
	select {
	case r.free <- struct{}{}:
		return func() { <-r.free }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// largeRequest is the size of a request, head and body, from which it waits for a free
// processor to be bound. 56 KB of JSON take up to 80 ms (BenchmarkCostlyRequests), and a
// few clients that send such requests would leave no processor to streams.
const largeRequest = 8 << 10

// bindRequest makes the request message. Large requests are bound on all processors but one.
func (e *endpoint) bindRequest(b *binding, r *http.Request, params map[string]string, body []byte) (route.Bound, error) {
	if len(body)+headSize(r) >= largeRequest {
		giveBack, err := e.bridge.binding.hold(r.Context())
		if err != nil {
			return route.Bound{}, err
		}
		defer giveBack()
	}
	return b.binder.Bind(r, params, body)
}
