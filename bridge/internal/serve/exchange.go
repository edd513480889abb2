package serve

import (
	"errors"
	"net/http"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/admit"
	"github.com/ssebridge/ssebridge/bridge/internal/observe"
	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/route"
	"github.com/ssebridge/ssebridge/bridge/internal/site"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
)

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
		return answered, x.handler.options(x.w, x.r)
	}
	limits, err := x.enter()
	if err != nil {
		return nil, err
	}
	defer func() {
		if !x.streams {
			x.permit.Release()
		}
	}()
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
		x.record.SetRoute(e.Route.Path, e.Counts, x.r)
		return s.Config.Limits, nil
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
