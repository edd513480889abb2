package serve

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/bridge/internal/peer"
	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// policyOf returns the policy by which a route's clients are written to.
func policyOf(r *config.Route) delivery.Policy {
	return delivery.Policy{
		WriteTimeout: time.Duration(r.WriteTimeout),
		Heartbeat:    time.Duration(*r.Heartbeat.Every),
		Comments:     r.Heartbeat.As == config.HeartbeatComment,
		MaxAge:       time.Duration(r.MaxAge),
		Skip:         r.SlowClient == config.SlowClientSkip,
	}
}

// deliver begins an event stream, which owns the request's permit from now on. stream is nil
// if the client has no topic.
func (x *exchange) deliver(client *delivery.Client, stream *clientStream) (answer, error) {
	h, e := x.handler, x.endpoint
	client.Policy = policyOf(&e.Route)
	client.Policy.Expires = lifetime(x.who)
	client.Gzip = setStreamHead(x.w.Header(), x.r, *e.Route.Compress)
	if x.r.ProtoMajor == 1 {
		// The write deadline of a stream must not affect the connection's next request, and a
		// client that is asked to reconnect should use a new connection.
		x.w.Header().Set("Connection", "close")
	}
	h.warnOfTransport(x.w, x.r, e.Route.Path)
	record, permit := x.record.Kept(), x.permit
	x.record.SetStreaming(true)
	permit.Streaming()
	x.streams = true
	client.Audience = &e.Audience
	client.Counts = e.Counts.Delivery
	client.Done = func(end reason.End) {
		defer permit.Ended(end == reason.EndGone)
		if stream != nil {
			stream.leave(end, client)
		}
		record.StreamEnded(end, client.Sent)
	}
	written, err := h.Clients.Serve(x.w.ResponseWriter, x.r, client) // without the wrapper, so that delivery can take over the connection
	if err != nil {
		x.record.SetStreaming(false) // the error is a refusal
		client.Done(reason.EndGone)
		return nil, err
	}
	e.Counts.Answers.Add(http.StatusOK)
	if written == nil { // the stream continues without the handler
		return answered, nil
	}
	framed, remote, proxied := x.r.ProtoMajor >= 2, x.r.RemoteAddr, peer.Forwarded(x.r)
	return func(ctx context.Context) {
		end := written.Run(ctx)
		if end != reason.EndComplete && end != reason.EndAsked {
			// A return would end the response as if it were complete.
			panic(http.ErrAbortHandler)
		}
		if framed && wantsNewConnection(written.Asked(), proxied) {
			h.reconnects.add(remote) // before the response ends and the client reconnects
		}
	}, nil
}

// warnOfTransport logs once that a protocol or a server is not suited to streams.
func (h *Handler) warnOfTransport(w http.ResponseWriter, r *http.Request, path string) {
	if !r.ProtoAtLeast(1, 1) {
		h.http10.Do(func() {
			h.Logger.Warn("a client or proxy speaks HTTP/1.0, where a cut looks like an end; for nginx write proxy_http_version 1.1", "route", path)
		})
	}
	if isTimed(w, r) {
		h.timed.Do(func() {
			h.Logger.Warn("the server's WriteTimeout cuts each stream: a middleware's ResponseWriter has no way to lift it; give it an Unwrap method "+
				"(see http.ResponseController), or the server no WriteTimeout", "route", path)
		})
	}
}

// isTimed reports whether the server has a WriteTimeout that this response cannot lift.
func isTimed(w http.ResponseWriter, r *http.Request) bool {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	return ok && server.WriteTimeout > 0 &&
		errors.Is(http.NewResponseController(w).SetWriteDeadline(time.Time{}), http.ErrNotSupported)
}

// setStreamHead sets the headers of an event stream, and returns whether it is compressed.
func setStreamHead(head http.Header, r *http.Request, compress bool) (gzip bool) {
	head.Set("Content-Type", "text/event-stream")
	head.Set("Cache-Control", "no-cache, no-store, no-transform")
	head.Set("X-Accel-Buffering", "no")
	if !compress {
		return false
	}
	head.Add("Vary", "Accept-Encoding")
	if gzip = acceptsGzip(r); gzip {
		head.Set("Content-Encoding", "gzip")
	}
	return gzip
}
