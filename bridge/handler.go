package bridge

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/bridge/internal/route"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/internal/printable"
)

// lastEventIDNames are the query forms of Last-Event-ID, for pages that open
// an EventSource anew and still know where they were.
func lastEventIDNames() []string { return []string{"last_event_id", "lastEventId"} }

// ServeHTTP answers a request by its route.
func (b *Bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	// The request is not kept while a stream lasts.
	stream := b.begin(w, r)
	stream(ctx)
}

// begin answers a request, but for the stream that may follow.
func (b *Bridge) begin(w http.ResponseWriter, r *http.Request) answer {
	r = b.identified(r)
	response := b.receive(w, r)
	defer response.visit.returned(r)
	b.limitBody(response, r)
	if b.leaving.Load() {
		closeConnection(response) // the next request is for another bridge
	}
	stream, err := aside(func() (answer, error) { return b.serve(response, r) })
	if err != nil {
		b.refuse(response, r, err)
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

// serve tells the story of a request. An error is answered by refuse; nothing
// has been written then.
func (b *Bridge) serve(w http.ResponseWriter, r *http.Request) (answer, error) {
	if r.Method == http.MethodOptions {
		return answered, b.options(w, r)
	}
	e, params, limits, err := b.enter(r)
	if err != nil {
		return nil, err
	}
	defer e.present.leave()
	visitOf(w).finds(e, r)
	known := e.bound.Load()
	stream := known == nil || !known.unary()
	switch {
	case r.Method == http.MethodHead:
		return answered, e.at(e.head(w, r, params, int(limits.RequestBytes)))
	case stream && r.Method == http.MethodGet && sse.ParseID(e.mode, lastEventID(r)).Final:
		w.Header().Set("Cache-Control", "no-store") // for this id only
		w.WriteHeader(http.StatusNoContent)         // an EventSource stops
		return answered, nil
	case e.passesOn(w, r, stream):
		return answered, nil
	}
	guest, err := e.guest(r)
	if err != nil {
		return e.shed(w, r, err)
	}
	defer guest.leave()
	load := &load{pool: &b.shedding.pending.requests}
	defer load.leave()
	body, err := e.receive(w, r, int(limits.RequestBytes), load)
	switch {
	case isFull(err):
		return e.shed(w, r, err)
	case err != nil:
		return nil, e.at(err)
	}
	seat, err := e.seat(r)
	if err != nil {
		return e.shed(w, r, err)
	}
	defer seat.leave()
	call, err := e.understand(w, r, params, body)
	switch {
	case errors.Is(err, errLeaving) && wantsStream(r):
		return e.turnAway(w, r, sse.Retry{Reason: sse.RetryDrain})
	case errors.Is(err, errRetired) && wantsStream(r):
		return e.turnAway(w, r, sse.Retry{Reason: sse.RetryReload})
	case errors.As(err, new(*noSchemaError)) && wantsStream(r):
		return e.turnAway(w, r, e.upstreamRetry(err))
	case err != nil:
		return nil, e.at(err)
	case call.unary():
		if err := e.answer(w, r, call); isFull(err) {
			return e.shed(w, r, err)
		} else if err != nil {
			return nil, e.at(err)
		}
		return answered, nil
	}
	call.seat = seat
	rest, err := e.stream(w, r, call)
	return rest, e.at(err)
}

// enter finds a request's route by the newest configuration. The caller leaves
// the endpoint's presence.
func (b *Bridge) enter(r *http.Request) (*endpoint, map[string]string, config.Limits, error) {
	for {
		s := b.site.Load()
		match, err := s.table.Match(r)
		if err != nil {
			return nil, nil, config.Limits{}, err
		}
		// Else it has been retired just now, and there is another site.
		if e := s.endpoints[match.Index]; e.present.enter() {
			return e, match.Params, s.config.Limits, nil
		}
	}
}

// call is a request that has been understood.
type call struct {
	*binding
	route.Bound

	seat  *seat  // nil where none is needed
	visit *visit // nil where requests are neither logged nor traced

	peer  peerKey // that is held back where it opens topics in vain
	opens bool    // a topic is made for the request
}

// receive reads a request of at most limit bytes, and returns its body. Its memory
// is counted in load.
func (e *endpoint) receive(w http.ResponseWriter, r *http.Request, limit int, load *load) ([]byte, error) {
	if err := route.CheckSize(r, limit); err != nil {
		return nil, err
	}
	if err := load.grow(headSize(r)); err != nil {
		return nil, err
	}
	return readBody(w, r, limit, load)
}

// understand waits for the route's schema and binds the request to it.
func (e *endpoint) understand(w http.ResponseWriter, r *http.Request, params map[string]string, body []byte) (*call, error) {
	b, err := e.await(r.Context(), e.bridge.leave.begun)
	if err != nil {
		return nil, err
	}
	bound, err := e.bindRequest(b, e.identified(r, visitOf(w).id), params, body)
	if err != nil {
		return nil, err
	}
	return &call{binding: b, Bound: bound, visit: visitOf(w).kept()}, nil
}

const (
	// bodyTimeout is how long a client may take to send the body.
	bodyTimeout = 10 * time.Second
	// pressedTimeout is how long it may take while limits.pending_bytes is nearly
	// used up, and how long one piece of an answer may take then.
	pressedTimeout = 2 * time.Second
)

// limitBody sets a deadline for the body, for any reader of it: where an answer
// precedes the body's end, net/http reads on without a deadline of its own.
func (b *Bridge) limitBody(w http.ResponseWriter, r *http.Request) {
	if !hasBody(r) {
		return
	}
	timeout := bodyTimeout
	if b.shedding.pending.requests.pressed() {
		timeout = pressedTimeout
	}
	// A writer that knows no deadlines, of a test or a middleware, is left
	// to its own.
	controller := http.NewResponseController(w)
	_ = controller.SetReadDeadline(time.Now().Add(timeout))
	if r.ProtoMajor == 1 {
		// That of the connection's last answer may be over, and "100 Continue" is
		// to be written.
		_ = controller.SetWriteDeadline(time.Time{})
	}
}

const (
	// answerTimeout is how long a client may take to take what is no stream, or as
	// much of it as answerPiece. For all of it there is as much time, and a second
	// for each answerRate bytes.
	answerTimeout = 20 * time.Second
	answerPiece   = 16 << 10
	answerRate    = 64 << 10
)

// limitAnswer sets a deadline for the next write, no later than whole if that is
// set. net/http has none: a client that opens no window, or reads nothing, would
// hold its request and answer for as long as its connection lasts.
func (w *witness) limitAnswer(whole time.Time) {
	timeout := answerTimeout
	if w.visit.bridge.shedding.pending.answers.pressed() {
		timeout = pressedTimeout
	}
	until := time.Now().Add(timeout)
	if !whole.IsZero() && whole.Before(until) {
		until = whole
	}
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(until)
}

// hasBody reports whether a request may have a body. On HTTP/2 every request has a
// Body, and only its length says that it is empty.
func hasBody(r *http.Request) bool {
	return r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0
}

func readBody(w http.ResponseWriter, r *http.Request, limit int, load *load) ([]byte, error) {
	if !hasBody(r) {
		return nil, nil
	}
	body, err := readAll(http.MaxBytesReader(nil, r.Body, int64(limit)), load)
	if isFull(err) {
		return nil, err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.Header().Set("Connection", "close")
		return nil, &route.Error{Status: http.StatusRequestTimeout, Message: "the body did not come in time"}
	}
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, &route.Error{Status: http.StatusRequestEntityTooLarge, Message: "the body is larger than limits.request_bytes allows"}
	}
	if err != nil {
		return nil, &route.Error{Status: http.StatusBadRequest, Message: "the body could not be read"}
	}
	// Not before: the rest of a body that is not read keeps its deadline.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return body, nil
}

// readAll is io.ReadAll, but it counts in load what it takes before it does.
func readAll(r io.Reader, load *load) ([]byte, error) {
	const first = 1 << 10
	var body []byte
	for {
		if len(body) == cap(body) {
			more := max(first, cap(body)) // doubled, so that the body's bytes are copied twice at most
			if err := load.grow(more); err != nil {
				return nil, err
			}
			body = append(make([]byte, 0, cap(body)+more), body...)
		}
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return nil, err
		}
	}
}

// options answers OPTIONS.
func (b *Bridge) options(w http.ResponseWriter, r *http.Request) error {
	allowed := b.site.Load().table.Allowed(r.URL)
	if allowed == nil {
		return &route.Error{Status: http.StatusNotFound, Message: "no route matches the path"}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// head answers HEAD: what a GET would begin with, and nothing is opened. What a GET
// would be refused for, as far as the bridge knows without asking the backend, is
// refused here.
func (e *endpoint) head(w http.ResponseWriter, r *http.Request, params map[string]string, limit int) error {
	if err := route.CheckSize(r, limit); err != nil {
		return err
	}
	known := e.bound.Load()
	switch {
	case known == nil: // the schema is not known yet
	case known.err != nil:
		return known.err
	default:
		if _, err := e.bindRequest(known, e.identified(r, visitOf(w).id), params, nil); err != nil {
			return err
		}
	}
	if known != nil && known.unary() {
		w.Header().Set("Content-Type", "application/json")
	} else {
		e.setStreamHead(w.Header(), r)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// lastEventID returns the id that a client comes back with.
func lastEventID(r *http.Request) string {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return id
	}
	for _, name := range lastEventIDNames() {
		if id := queryValue(r.URL.RawQuery, name); id != "" {
			return id
		}
	}
	return ""
}

// queryValue returns a parameter of a query that is read as package route reads it, by
// the WHATWG's URL standard: only "&" separates. url.ParseQuery drops what has a ";",
// so that a client with such an id would begin anew, and it takes milliseconds for a
// query of 64 KiB.
func queryValue(query, name string) string {
	for pair := range strings.SplitSeq(query, "&") {
		key, text, _ := strings.Cut(pair, "=")
		if key != name {
			if !strings.ContainsAny(key, "%+") {
				continue
			}
			if key, err := url.QueryUnescape(key); err != nil || key != name {
				continue
			}
		}
		if value, err := url.QueryUnescape(text); err == nil && value != "" {
			return value
		}
	}
	return ""
}

// wantsStream reports whether an event stream is an answer that the client
// can read, where the bridge does not know yet what the method gives. A POST
// has to say so: to one that calls a unary method, 200 would be its success.
func wantsStream(r *http.Request) bool {
	accept := r.Header.Values("Accept")
	if wantsStatus(r) {
		return false
	}
	for _, line := range accept {
		if strings.Contains(line, "text/event-stream") || r.Method == http.MethodGet && strings.Contains(line, "*/*") {
			return true
		}
	}
	return len(accept) == 0 && r.Method == http.MethodGet
}

// routed is an error of a request whose route is known.
type routed struct {
	error
	endpoint *endpoint
}

func (r routed) Unwrap() error { return r.error }

func (e *endpoint) at(err error) error {
	if err == nil {
		return nil
	}
	return routed{err, e}
}

// refuse is the one place that decides what a client sees of an error that
// is answered with a status: a google.rpc.Status as JSON.
func (b *Bridge) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var bad *route.Error
	var where routed
	v, _ := visitOf(w), errors.As(err, &where)
	switch {
	case errors.As(err, &bad):
		if len(bad.Allow) > 0 {
			w.Header().Set("Allow", strings.Join(bad.Allow, ", "))
		}
		f := failure.BadRequest(bad)
		v.refused(refusal{code: f.Code, field: where.endpoint.ownName(bad.Field)})
		writeJSON(w, bad.Status, f.Body())
	case r.Context().Err() != nil:
		// The client has gone; and if a middleware ran out of patience, an answer
		// made up here would stop an EventSource for good. (A body that did not
		// come in time ends the context, too.)
		panic(http.ErrAbortHandler)
	case errors.As(err, new(*config.Error)):
		f := failure.Failure{Code: codes.Unimplemented, Message: "the route does not fit what the backend serves; the bridge's log says why"}
		v.refused(refusal{code: f.Code, message: f.Message})
		writeJSON(w, http.StatusNotImplemented, f.Body())
	case where.endpoint != nil:
		f := where.endpoint.failures.Of(where.error)
		v.refused(refusalOf(where.error, f))
		writeJSON(w, f.HTTPStatus(), f.Body())
	default:
		b.logger.Error("a request failed", "error", printable.Text(err.Error(), errorBytes))
		f := failure.Failure{Code: codes.Internal, Message: "internal error"}
		v.refused(refusal{code: f.Code, message: f.Message})
		writeJSON(w, http.StatusInternalServerError, f.Body())
	}
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	//nolint:errcheck,gosec // A client that is gone has no use for the error; and JSON is no markup.
	w.Write(append(body, '\n'))
}
