package observe

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

// RefusedByRequest notes that the request itself is wrong, at a field that the route or the
// schema has, if it is one field's fault.
func (rec *Record) RefusedByRequest(code codes.Code, field string) {
	rec.refused(refusal{code: code, field: field})
}

// Refused notes that the bridge, or the backend where err is its own status, refuses the
// request.
func (rec *Record) Refused(err error, f failure.Failure) {
	if errors.Is(err, upstream.ErrAnswered) {
		rec.refused(refusal{backend: true, code: f.Code})
		return
	}
	rec.refused(refusal{code: f.Code, message: f.Message})
}

func (rec *Record) refused(why refusal) {
	if rec.Kept() != nil {
		rec.refusal = &why
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
