package serve

import (
	"errors"
	"net/http"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/admit"
	"github.com/ssebridge/ssebridge/bridge/internal/auth"
	"github.com/ssebridge/ssebridge/bridge/internal/observe"
	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/route"
	"github.com/ssebridge/ssebridge/bridge/internal/site"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
)

// exchange is the state of one request until it is answered.
type exchange struct {
	handler  *Handler
	endpoint *site.Endpoint // set by enter
	w        *response
	r        *http.Request
	params   map[string]string // of the path
	id       sse.ID            // Last-Event-ID
	who      *auth.Identity    // set by authenticate; nil is anonymous
	permit   *admit.Permit
	record   *observe.Record
	streams  bool // a stream owns the permit
}

// serve takes a request from its route to its answer. If it returns an error, nothing has
// been written, and refuse answers.
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
	if rest, err := authenticate(x); rest != nil || err != nil {
		return rest, err
	}
	switch {
	case x.r.Method == http.MethodHead:
		return answered, x.head(int(limits.RequestBytes))
	case !x.isUnary() && x.r.Method == http.MethodGet && x.id.Final:
		x.w.WriteHeader(http.StatusNoContent) // makes an EventSource stop
		return answered, nil
	case x.refuseForProxy():
		return answered, nil
	}
	body, err := x.receive(int(limits.RequestBytes))
	if err == nil {
		err = x.takeStreamSlot()
	}
	if err != nil {
		return x.orShed(nil, err)
	}
	call, err := x.makeCall(body)
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

// enter finds the request's route in the newest configuration.
func (x *exchange) enter() (config.Limits, error) {
	for {
		s := x.handler.Sites.Current()
		match, err := s.Table.Match(x.r)
		if err != nil {
			s.CORS.Admit(x.w.Header(), x.r)
			return config.Limits{}, err
		}
		e := s.Endpoints[match.Index]
		permit := x.handler.Gate.Enter(x.r, e.Presence)
		if permit == nil {
			continue // a reload has just retired the endpoint: look in the new site
		}
		x.endpoint, x.params, x.permit = e, match.Params, permit
		e.CORS.Admit(x.w.Header(), x.r)
		x.id = sse.ParseID(e.Mode, sse.LastEventID(x.r))
		x.record.SetRoute(e.Route.Path, e.Counts, x.r)
		return s.Config.Limits, nil
	}
}

// isUnary reports whether the schema is known and the route's method is unary.
func (x *exchange) isUnary() bool {
	known := x.endpoint.Bound()
	return known != nil && known.Unary()
}

// takeStreamSlot takes a slot for a request that becomes a stream. Unary calls need none, and
// neither do streams that only ask the client to reconnect or to stop.
func (x *exchange) takeStreamSlot() error {
	if x.isUnary() || x.handler.Leaving.Begun() || x.id.Final {
		return nil
	}
	return x.permit.TakeStreamSlot()
}

// call is a request that is bound to a schema.
type call struct {
	*site.Binding
	route.Bound
}

// makeCall waits for the route's schema and binds the request to it.
func (x *exchange) makeCall(body []byte) (*call, error) {
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

// largeRequest is the size, head and body, from which a request waits for a free processor
// before it is bound. Binding 56 KB of JSON takes up to 80 ms (BenchmarkCostlyRequests), so a
// few clients could keep all processors from serving streams.
const largeRequest = 8 << 10

// bind makes the request message. One processor is never used for large requests.
func (x *exchange) bind(b *site.Binding, body []byte) (route.Bound, error) {
	r := withRequestID(x.r, x.endpoint.Route.Request.Metadata, x.record.ID())
	if len(body)+admit.HeadSize(r) >= largeRequest {
		release, err := x.handler.Binding.Acquire(r.Context())
		if err != nil {
			return route.Bound{}, err
		}
		defer release()
	}
	return b.Binder.Bind(r, x.params, body, clientOf(x.who))
}

// head answers HEAD with the headers of a GET, without an RPC. Errors that GET would find
// without the backend are errors of HEAD, too.
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
