// Package failure decides how much of an error clients and operators see. Clients get a
// google.rpc.Status. The text of internal errors is only logged, under an incident id that
// clients get.
package failure

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/internal/route"
)

// Failure is an error as a client may see it.
type Failure struct {
	Code    codes.Code
	Message string
	Details []json.RawMessage // google.protobuf.Any as JSON
}

// StatusOf returns the gRPC status of an error, UNKNOWN if it has none. Unlike
// status.Convert it does not add the text of wrapping errors to the message, because that
// text is for operators.
func StatusOf(err error) *status.Status {
	var carries interface{ GRPCStatus() *status.Status }
	if errors.As(err, &carries) {
		return carries.GRPCStatus()
	}
	return status.New(codes.Unknown, "")
}

// CodeName returns the name of a code in google.rpc.Code, or the number of a code that has
// no name there.
func CodeName(c codes.Code) string { return code.Code(CodeNumber(c)).String() } //nolint:gosec // an int32

// CodeNumber returns the number of a code in google.rpc.Status, an int32. grpc-go stores a
// grpc-status such as -1 without its sign.
func CodeNumber(c codes.Code) int { return int(int32(c)) } //nolint:gosec // see above

// HTTPStatus returns the HTTP status for a response that has not begun.
func (f Failure) HTTPStatus() int { return runtime.HTTPStatusFromCode(f.Code) }

// rpcStatus is a google.rpc.Status as proto3 JSON, with the fields that stream-error adds.
type rpcStatus struct {
	Code     int               `json:"code"`
	Message  string            `json:"message"`
	Details  []json.RawMessage `json:"details,omitempty"`
	Status   string            `json:"status,omitempty"`
	Trailers map[string]string `json:"trailers,omitempty"`
}

// Body returns the failure as the body of an HTTP response.
func (f Failure) Body() []byte {
	return marshal(rpcStatus{Code: CodeNumber(f.Code), Message: f.Message, Details: f.Details})
}

// Data returns the failure as the data of stream-error.
func (f Failure) Data(trailers map[string]string) []byte {
	return marshal(rpcStatus{Code: CodeNumber(f.Code), Message: f.Message, Details: f.Details, Status: CodeName(f.Code), Trailers: trailers})
}

// BadRequest returns the failure of a request that a route refuses. A detail of type
// google.rpc.BadRequest names the field.
func BadRequest(bad *route.Error) Failure {
	f := Failure{Code: codes.InvalidArgument, Message: bad.Error()}
	switch bad.Status {
	case http.StatusForbidden:
		f.Code = codes.PermissionDenied
	case http.StatusNotFound:
		f.Code = codes.NotFound
	case http.StatusMethodNotAllowed:
		f.Code = codes.Unimplemented
	}
	if bad.Field != "" {
		type violation struct {
			Field       string `json:"field"`
			Description string `json:"description"`
		}
		f.Details = append(f.Details, marshal(struct {
			Type       string      `json:"@type"`
			Violations []violation `json:"fieldViolations"`
		}{"type.googleapis.com/google.rpc.BadRequest", []violation{{bad.Field, bad.Message}}}))
	}
	return f
}

// marshal renders structs of strings, numbers and JSON, which cannot fail.
func marshal(shape any) []byte {
	text, err := json.Marshal(shape)
	if err != nil {
		panic(err)
	}
	return text
}
