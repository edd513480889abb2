package serve

import (
	"errors"

	"github.com/ssebridge/ssebridge/bridge/internal/admit"
	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/bridge/internal/observe"
	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/site"
	"github.com/ssebridge/ssebridge/bridge/internal/source"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// stream serves a server-streaming method as an event stream.
func (x *exchange) stream(c *call) (answer, error) {
	switch {
	case x.id.Final: // not by GET: that is answered 204
		return x.answerEnd()
	case x.handler.Leaving.Begun():
		return x.askToReconnect(sse.Retry{Reason: reason.LeaveDrain})
	case !x.permit.HasStreamSlot(): // the method was unary when the request arrived, and a new schema makes it a stream
		return x.askToReconnect(sse.Retry{Reason: reason.LeaveReload})
	}
	if x.handler.reconnects.take(x.r) {
		closeConnection(x.w)
		if x.id.Text != "" { // without an id the request may be another stream of the connection
			return x.askToReconnect(sse.Retry{Reason: reason.LeaveMaxAge})
		}
	}
	if err := x.r.Context().Err(); err != nil {
		x.permit.GaveUp(false)
		return nil, err // no RPC for a client that has gone
	}
	request := source.Request{Wire: c.Wire, Metadata: c.Metadata, TraceOrigin: x.record.Kept().TraceOrigin()}
	if x.who != nil {
		request.Expires = x.who.Expires
	}
	if x.endpoint.Route.Resume != nil { // the client may later move to another topic, which opens an RPC with this request
		if err := x.permit.Keep(request.Size()); err != nil {
			return x.shed(err)
		}
	}
	sub, err := x.handler.Topics.Join(joinOf(x.endpoint, x.permit, x.handler.Sources, x.id, c, request, x.who))
	switch limit := limitOf(err); {
	case limit != "":
		return x.shed(admit.Full(limit))
	case err != nil: // the bridge is closed
		return x.askToReconnect(sse.Retry{Reason: reason.LeaveDrain})
	}
	opening := acceptance{x.endpoint, x.handler.Leaving, wantsStatus(x.r)}
	if err := opening.wait(x.r.Context(), sub); err != nil {
		sub.Leave()
		if x.r.Context().Err() != nil {
			x.permit.GaveUp(true)
		}
		if errors.Is(err, site.ErrLeaving) {
			return x.askToReconnect(sse.Retry{Reason: reason.LeaveDrain})
		}
		return nil, err
	}
	sub.Opened()
	return x.follow(sub)
}

// follow streams a topic's log to the client.
func (x *exchange) follow(sub *topic.Subscription) (answer, error) {
	counts, record := x.endpoint.Counts, x.record.Kept()
	counts.Joined(sub)
	stream := &clientStream{handler: x.handler, endpoint: x.endpoint, sub: sub, record: record, inURL: x.who != nil && x.who.Place.Query != ""}
	if record != nil {
		record.StreamBegins(observe.StartOf(sub), x.id.Text, source.RPCsOf(sub))
	}
	client := &delivery.Client{
		Source:   stream,
		Follower: stream,
		Blocks:   stream,
		First:    stream.first(x.id),
		Position: sub.Position,
	}
	sub.SetCut(func() {
		counts.Shed(admit.LimitReplayBytes)
		client.Cut()
	})
	return x.deliver(client, stream)
}
