package serve

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/admit"
	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/bridge/internal/observe"
	"github.com/ssebridge/ssebridge/bridge/internal/peer"
	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/route"
	"github.com/ssebridge/ssebridge/bridge/internal/site"
	"github.com/ssebridge/ssebridge/bridge/internal/source"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// Handler serves requests by the current site of a bridge. Its fields are set before it
// serves the first, and it is safe for concurrent use.
type Handler struct {
	Sites    *site.Sites
	Gate     *admit.Gate
	Observer *observe.Observer
	Sources  *source.Sources
	Topics   *topic.Registry
	Clients  *delivery.Clients
	Leaving  *Leaving
	Binding  source.Processors // of large requests
	Logger   *slog.Logger

	reconnects reconnects // connections of HTTP/2 whose clients were asked to connect anew
	http10     sync.Once  // the log line about HTTP/1.0
	timed      sync.Once  // that about a server's WriteTimeout
}

// ServeHTTP answers a request by its route.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	// The request is not kept while a stream lasts.
	stream := h.begin(w, r)
	stream(ctx)
}

// begin answers a request, except for the stream that may follow.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request) answer {
	r = peer.Trust(h.Sites.Current().Config.TrustedProxies).Identify(r)
	record := h.Observer.Begin(w.Header(), r)
	defer record.Returned(r)
	x := &exchange{handler: h, w: &response{w, record, h.Gate}, r: r, record: record}
	x.limitBody()
	if h.Leaving.Begun() {
		closeConnection(x.w) // the next request is for another bridge
	}
	stream, err := aside(x.serve)
	if err != nil {
		x.refuse(err)
		return answered
	}
	return stream
}

// answer is what is left to do of a request: to stream.
type answer func(ctx context.Context)

// answered is the answer of a request of which nothing is left to do.
func answered(context.Context) {}

// aside calls a function on a stack of its own. The stack that reading a request
// needs is freed then; the caller's lasts as long as its stream.
func aside(f func() (answer, error)) (answer, error) {
	type outcome struct {
		rest     answer
		err      error
		panicked any
	}
	done := make(chan outcome)
	go func() {
		var o outcome
		defer func() {
			o.panicked = recover()
			done <- o
		}()
		o.rest, o.err = f()
	}()
	o := <-done
	if o.panicked != nil {
		panic(o.panicked) // http.ErrAbortHandler, or for the server to tell
	}
	return o.rest, o.err
}

// exchange is one request on the way to its answer.
type exchange struct {
	handler  *Handler
	endpoint *site.Endpoint // nil until enter has found it
	w        *response
	r        *http.Request
	params   map[string]string // of the path
	id       sse.ID            // Last-Event-ID
	permit   *admit.Permit
	record   *observe.Record
	streams  bool // a stream has the permit
}

// serve tells the story of a request. An error is answered by refuse; nothing has been
// written then.
func (x *exchange) serve() (answer, error) {
	if x.r.Method == http.MethodOptions {
		return answered, x.options()
	}
	limits, err := x.enter()
	if err != nil {
		return nil, err
	}
	defer x.leave()
	switch {
	case x.r.Method == http.MethodHead:
		return answered, x.head(int(limits.RequestBytes))
	case !x.isUnary() && x.r.Method == http.MethodGet && x.id.Final:
		x.w.Header().Set("Cache-Control", "no-store") // for this id only
		x.w.WriteHeader(http.StatusNoContent)         // an EventSource stops
		return answered, nil
	case x.passesOn():
		return answered, nil
	}
	body, err := x.receive(int(limits.RequestBytes))
	if err == nil {
		err = x.takeStreamSlot()
	}
	if err != nil {
		return x.orShed(nil, err)
	}
	call, err := x.understand(body)
	switch {
	case errors.Is(err, site.ErrLeaving) && wantsStream(x.r):
		return x.askToReconnect(sse.Retry{Reason: reason.LeaveDrain})
	case errors.Is(err, site.ErrRetired) && wantsStream(x.r):
		return x.askToReconnect(sse.Retry{Reason: reason.LeaveReload})
	case errors.As(err, new(*site.NoSchemaError)) && wantsStream(x.r):
		return x.askToReconnect(upstreamRetry(x.endpoint, err))
	case err != nil:
		return nil, err
	case call.Unary():
		return x.orShed(answered, x.answer(call))
	}
	return x.stream(call)
}

// enter finds the request's route by the newest configuration.
func (x *exchange) enter() (config.Limits, error) {
	for {
		s := x.handler.Sites.Current()
		match, err := s.Table.Match(x.r)
		if err != nil {
			return config.Limits{}, err
		}
		e := s.Endpoints[match.Index]
		permit := x.handler.Gate.Enter(x.r, e.Presence)
		if permit == nil {
			continue // it has been retired just now, and there is another site
		}
		x.endpoint, x.params, x.permit = e, match.Params, permit
		x.id = sse.ParseID(e.Mode, sse.LastEventID(x.r))
		x.record.Route(e.Route.Path, e.Counts, x.r)
		return s.Config.Limits, nil
	}
}

// leave gives the request's permit back, unless a stream has it.
func (x *exchange) leave() {
	if !x.streams {
		x.permit.Release()
	}
}

// isUnary reports whether the route is known to be one of a unary method.
func (x *exchange) isUnary() bool {
	known := x.endpoint.Bound()
	return known != nil && known.Unary()
}

// takeStreamSlot takes a slot for a request that will be a stream. Requests that end at once
// need none: calls of unary methods, and streams that only ask the client to come back or to
// stop.
func (x *exchange) takeStreamSlot() error {
	if x.isUnary() || x.handler.Leaving.Begun() || x.id.Final {
		return nil
	}
	return x.permit.TakeStreamSlot()
}

// call is a request that has been understood.
type call struct {
	*site.Binding
	route.Bound
}

// understand waits for the route's schema and binds the request to it.
func (x *exchange) understand(body []byte) (*call, error) {
	b, err := x.endpoint.Await(x.r.Context(), x.handler.Leaving.Beginning())
	if err != nil {
		return nil, err
	}
	bound, err := x.bind(b, body)
	if err != nil {
		return nil, err
	}
	return &call{Binding: b, Bound: bound}, nil
}

// largeRequest is the size of a request, head and body, from which it waits for a free
// processor to be bound. 56 KB of JSON take up to 80 ms (BenchmarkCostlyRequests), and a
// few clients that send such requests would leave no processor to streams.
const largeRequest = 8 << 10

// bind makes the request message. Large requests are bound on all processors but one.
func (x *exchange) bind(b *site.Binding, body []byte) (route.Bound, error) {
	r := withRequestID(x.r, x.endpoint.Route.Request.Metadata, x.record.ID())
	if len(body)+admit.HeadSize(r) >= largeRequest {
		giveBack, err := x.handler.Binding.Hold(r.Context())
		if err != nil {
			return route.Bound{}, err
		}
		defer giveBack()
	}
	return b.Binder.Bind(r, x.params, body)
}

// options answers OPTIONS.
func (x *exchange) options() error {
	allowed := x.handler.Sites.Current().Table.Allowed(x.r.URL)
	if allowed == nil {
		return &route.Error{Status: http.StatusNotFound, Message: "no route matches the path"}
	}
	x.w.Header().Set("Allow", strings.Join(allowed, ", "))
	x.w.Header().Set("Cache-Control", "no-store")
	x.w.WriteHeader(http.StatusNoContent)
	return nil
}

// head answers HEAD: what a GET would begin with, and nothing is opened. What a GET
// would be refused for, as far as the bridge knows without asking the backend, is
// refused here.
func (x *exchange) head(limit int) error {
	if err := route.CheckSize(x.r, limit); err != nil {
		return err
	}
	known := x.endpoint.Bound()
	switch {
	case known == nil: // the schema is not known yet
	case known.Err != nil:
		return known.Err
	default:
		if _, err := x.bind(known, nil); err != nil {
			return err
		}
	}
	if known != nil && known.Unary() {
		x.w.Header().Set("Content-Type", "application/json")
	} else {
		setStreamHead(x.w.Header(), x.r, *x.endpoint.Route.Compress)
	}
	x.w.WriteHeader(http.StatusOK)
	return nil
}
