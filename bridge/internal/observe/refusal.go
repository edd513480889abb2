package observe

import (
	"errors"
	"log/slog"

	"google.golang.org/grpc/codes"

	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/internal/printable"
	"github.com/ssebridge/ssebridge/upstream"
)

// The values of "by" in access lines: the side that refuses a request.
const (
	byBridge  = "bridge"
	byBackend = "backend"
)

// Bounds in bytes of a refusal's text in the log.
const (
	refusedFieldBytes   = 128
	refusedMessageBytes = 256
)

// refusal is the logged reason why a request was answered with an error. It contains no text
// of the client, because queries and bodies may hold secrets, and no text of the backend.
type refusal struct {
	backend bool // the status is the backend's own
	code    codes.Code
	field   string // the wrong field, in the spelling of the schema or the route
	message string // the bridge's message, if there is no field
}

// RefusedByRequest records that the request is wrong. field is the wrong field in the
// spelling of the route or the schema, or empty.
func (rec *Record) RefusedByRequest(code codes.Code, field string) {
	rec.refused(refusal{code: code, field: field})
}

// Refused records that the request failed. The backend refuses it if err is the backend's own
// status, else the bridge does.
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

// attrs returns the refusal's attributes of an access line.
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
