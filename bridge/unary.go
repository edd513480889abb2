package bridge

import (
	"context"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/internal/transcode"
	"github.com/ssebridge/ssebridge/upstream"
)

// answer calls a unary method and writes its response as JSON.
func (e *endpoint) answer(w http.ResponseWriter, r *http.Request, c *call) error {
	defer func() { e.counts.unary.Observe(visitOf(w).age(time.Now())) }()
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(e.route.Timeout))
	defer cancel()
	calling, rpc, span := e.bridge.tracing.startRPC(c.visit.source().context(ctx), e.upstream, upstream.Call{
		Method: e.route.RPC, Request: c.Wire, Metadata: c.Metadata,
	})
	e.upstream.counts.unary.opens.Add(1)
	reply, err := e.upstream.Invoke(calling, rpc)
	e.upstream.counts.unary.ended(err)
	span.answered(err)
	if err != nil {
		return err
	}
	e.counts.received(reply.Wire)
	if len(reply.Wire) > e.messageBytes {
		return status.Errorf(codes.ResourceExhausted, "the response is larger than limits.message_bytes allows")
	}
	body, err := e.render(ctx, c.plan, reply.Wire)
	if curable(err) {
		if newest := e.refresh(ctx); newest != nil {
			body, err = e.render(ctx, newest.plan, reply.Wire)
		}
	}
	if err != nil {
		return err
	}
	load := load{pool: &e.bridge.shedding.pending.answers}
	if err := load.grow(cap(body)); err != nil {
		return err
	}
	defer load.leave()
	reply.Wire = nil // not to be kept as long as the client takes
	writeJSON(w, http.StatusOK, body)
	return nil
}

// render transcodes a response when a processor is free for it. Its error is a status
// where ctx ends before.
func (e *endpoint) render(ctx context.Context, plan *transcode.Plan, wire []byte) ([]byte, error) {
	end, err := e.bridge.rendering.begin(ctx, e.upstream.intake, wire)
	if err != nil {
		return nil, status.FromContextError(err).Err()
	}
	defer end()
	return plan.AppendJSON(nil, wire)
}
