package serve

import (
	"errors"
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/auth"
	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/bridge/internal/route"
	"github.com/ssebridge/ssebridge/internal/printable"
)

// refuse answers an error with a status, and a google.rpc.Status as JSON. It alone decides
// how much of an error the client sees.
func (x *exchange) refuse(err error) {
	var bad *route.Error
	var refusal *auth.RefusedError
	switch {
	case errors.As(err, &bad):
		if len(bad.Allow) > 0 {
			x.w.Header().Set("Allow", strings.Join(bad.Allow, ", "))
		}
		f := failure.BadRequest(bad)
		x.record.RefusedByRequest(f.Code, x.endpoint.OwnName(bad.Field))
		writeJSON(x.w, bad.Status, f.Body())
	case errors.As(err, &refusal):
		refuseCredentials(x, refusal)
	case x.r.Context().Err() != nil:
		// The client has closed the connection, or a middleware's timeout has passed. An error
		// status after a timeout would stop an EventSource forever. (The deadline of the body
		// ends the context, too.)
		panic(http.ErrAbortHandler)
	case errors.As(err, new(*config.Error)):
		x.refuseWith(http.StatusNotImplemented, nil,
			failure.Failure{Code: codes.Unimplemented, Message: "the route does not fit what the backend serves; the bridge's log says why"})
	case x.endpoint != nil:
		f := x.endpoint.Failures.Of(err)
		x.refuseWith(f.HTTPStatus(), err, f)
	default:
		x.handler.Logger.Error("a request failed", "error", printable.Text(err.Error(), errorBytes))
		x.refuseWith(http.StatusInternalServerError, nil, failure.Failure{Code: codes.Internal, Message: "internal error"})
	}
}

// errorBytes bounds the logged text of an error.
const errorBytes = 1 << 10

// refuseWith answers with a failure. err is the RPC's error, nil if no RPC failed.
func (x *exchange) refuseWith(status int, err error, f failure.Failure) {
	x.record.Refused(err, f)
	writeJSON(x.w, status, f.Body())
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	//nolint:errcheck,gosec // a write error means that the client has gone; and JSON is not HTML
	w.Write(append(body, '\n'))
}
