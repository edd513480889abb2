package bridge

import (
	"errors"
	"log/slog"

	"google.golang.org/grpc/codes"

	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/internal/printable"
	"github.com/ssebridge/ssebridge/upstream"
)

// The sides that refuse requests, as the log has them.
const (
	byBridge  = "bridge"
	byBackend = "backend"
)

// unknownName stands in the log for a name that the route does not have: a client
// made it up, and it may be a secret that was put in the wrong place.
const unknownName = "(unknown)"

// How much of a refusal the log has.
const (
	refusedFieldBytes   = 128
	refusedMessageBytes = 256
)

// refusal says in the log why a request was answered with an error. It holds nothing
// that the client has sent, since queries and bodies may hold secrets, and no words of
// the backend's.
type refusal struct {
	backend bool // the status is the backend's own
	code    codes.Code
	field   string // that is wrong, as the schema or the route spells it
	message string // of the bridge, where there is no field
}

// refusalOf returns the refusal for a failed RPC, or for a route that cannot open one.
func refusalOf(err error, f failure.Failure) refusal {
	if errors.Is(err, upstream.ErrAnswered) {
		return refusal{backend: true, code: f.Code}
	}
	return refusal{code: f.Code, message: f.Message}
}

// refused notes why the request is answered with an error.
func (v *visit) refused(why refusal) {
	if v.kept() != nil {
		v.refusal = &why
	}
}

// attrs are the refusal's fields of an access line.
func (r *refusal) attrs() []slog.Attr {
	if r == nil {
		return nil
	}
	by := byBridge
	if r.backend {
		by = byBackend
	}
	attrs := []slog.Attr{slog.String("by", by), slog.String("code", failure.CodeName(r.code))}
	if r.field != "" {
		attrs = append(attrs, slog.String("field", printable.Text(r.field, refusedFieldBytes)))
	}
	if r.message != "" {
		attrs = append(attrs, slog.String("error", printable.Text(r.message, refusedMessageBytes)))
	}
	return attrs
}

// ownName returns the route's own spelling of a name that a request was refused for, and
// unknownName where the route has none. It is empty for the request as a whole.
func (e *endpoint) ownName(name string) string {
	if name == "" || e == nil {
		return ""
	}
	b := e.bound.Load()
	if b == nil || b.err != nil {
		return unknownName
	}
	return b.binder.OwnName(name, unknownName)
}
