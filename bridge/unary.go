package bridge

import (
	"context"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/upstream"
)

// answer calls a unary method and writes its response as JSON.
func (e *endpoint) answer(w http.ResponseWriter, r *http.Request, c *call) error {
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(e.route.Timeout))
	defer cancel()
	calling, rpc, span := e.bridge.tracing.startRPC(c.visit.source().context(ctx), upstream.Call{
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
	body, err := c.plan.AppendJSON(nil, reply.Wire)
	if curable(err) {
		if newest := e.refresh(ctx); newest != nil {
			body, err = newest.plan.AppendJSON(nil, reply.Wire)
		}
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}
