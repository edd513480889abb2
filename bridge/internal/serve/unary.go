package serve

import (
	"context"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/internal/site"
	"github.com/ssebridge/ssebridge/bridge/internal/source"
	"github.com/ssebridge/ssebridge/bridge/internal/transcode"
	"github.com/ssebridge/ssebridge/upstream"
)

// answer calls a unary method and writes its response as JSON.
func (x *exchange) answer(c *call) error {
	e := x.endpoint
	defer func() { e.Counts.Unary.Observe(x.record.Age(time.Now())) }()
	ctx, cancel := context.WithTimeout(x.r.Context(), time.Duration(e.Route.Timeout))
	defer cancel()
	calling, rpc, span := x.handler.Observer.StartRPC(ctx, x.record.Kept().TraceOrigin(), e.Backend.Name, e.Backend.Upstream, upstream.Call{
		Method: e.Route.RPC, Request: c.Wire, Metadata: c.Metadata,
	})
	calls := &e.Backend.Counts.Unary
	calls.Opens.Add(1)
	reply, err := e.Backend.Invoke(calling, rpc)
	calls.Ended(err)
	span.Answered(err)
	if err != nil {
		return err
	}
	e.Counts.Received(reply.Wire)
	if len(reply.Wire) > e.MessageBytes {
		return status.Errorf(codes.ResourceExhausted, "the response is larger than limits.message_bytes allows")
	}
	body, err := render(ctx, x.handler.Sources, e.Backend, c.Plan, reply.Wire)
	if source.NeedsNewerSchema(err) {
		if newest := e.Refresh(ctx); newest != nil {
			body, err = render(ctx, x.handler.Sources, e.Backend, newest.Plan, reply.Wire)
		}
	}
	if err != nil {
		return err
	}
	memory, err := x.handler.Gate.Answer(cap(body))
	if err != nil {
		return err
	}
	defer memory.Release()
	reply.Wire = nil // free it before a slow client reads the answer
	writeJSON(x.w, http.StatusOK, body)
	return nil
}

// render transcodes a response. A large one waits for a free processor; if ctx ends first,
// the error is its gRPC status.
func render(ctx context.Context, sources *source.Sources, up *site.Backend, plan *transcode.Plan, wire []byte) ([]byte, error) {
	end, err := sources.Rendering.Begin(ctx, up.Intake, wire)
	if err != nil {
		return nil, status.FromContextError(err).Err()
	}
	defer end()
	return plan.AppendJSON(nil, wire)
}
