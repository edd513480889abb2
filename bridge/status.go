package bridge

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/bridge/internal/transcode"
	"github.com/ssebridge/ssebridge/upstream"
)

// judge says what an RPC's error means to its topic.
func (e *endpoint) judge(err error) topic.Verdict {
	if errors.Is(err, upstream.ErrMoved) || errors.Is(err, upstream.ErrIdle) {
		return topic.Again
	}
	if errors.Is(err, upstream.ErrMessageTooLarge) || errors.Is(err, upstream.ErrHeadersTooLarge) {
		return topic.Fatal // each RPC would meet it again
	}
	code := statusOf(err).Code()
	if slices.Contains(e.route.Reconnect.Codes, statusName(code)) {
		return topic.Hold
	}
	switch code {
	case codes.Unavailable, codes.ResourceExhausted, codes.Aborted, codes.DeadlineExceeded, codes.Canceled:
		return topic.Retry
	case codes.Internal, codes.Unknown, codes.DataLoss:
		return topic.Flaky
	default:
		return topic.Fatal
	}
}

// failure is an error as a client may see it.
type failure struct {
	code    codes.Code
	message string
	details []json.RawMessage
}

// statusOf is the status that an error carries, and UNKNOWN where it has none.
// Unlike status.Convert it does not put the texts of the errors around it into
// the message, which are for the operator.
func statusOf(err error) *status.Status {
	var carries interface{ GRPCStatus() *status.Status }
	if errors.As(err, &carries) {
		return carries.GRPCStatus()
	}
	return status.New(codes.Unknown, "")
}

// failureOf decides what a client may see of an error.
func (e *endpoint) failureOf(err error) failure {
	err = e.noted(err)
	s := statusOf(err)
	if i := new(incident); errors.As(err, &i) {
		where := "; the bridge's log says how, under incident " + i.id
		switch {
		case errors.Is(err, upstream.ErrForeign):
			return failure{code: codes.Unavailable, message: s.Message() + where}
		case s.Code() == codes.Internal:
			return failure{code: codes.Internal, message: "the call failed" + where}
		default:
			return failure{code: codes.Unknown, message: "the call failed" + where}
		}
	}
	return failure{code: s.Code(), message: s.Message(), details: e.details(s.Proto().GetDetails())}
}

// details renders the details that a backend added to a status. A detail that cannot
// be shown as JSON, such as one of an unknown type, is left out. They go through
// transcode, like all bytes of a backend, since the protobuf library panics on some.
func (e *endpoint) details(packed []*anypb.Any) []json.RawMessage {
	if len(packed) == 0 {
		return nil
	}
	plan, err := transcode.Compile((*anypb.Any)(nil).ProtoReflect().Descriptor(), transcode.Options{
		Resolver: e.detailTypes(),
		MaxDepth: detailsDepth,
		MaxBytes: e.messageBytes,
	})
	if err != nil {
		panic(err) // Any is complete, and has no taps
	}
	var shown []json.RawMessage
	for _, detail := range packed {
		if detail.GetTypeUrl() == "" {
			continue // holds nothing, and {} is no Any as JSON
		}
		wire, err := proto.Marshal(detail)
		if err != nil {
			continue
		}
		if text, err := plan.AppendJSON(nil, wire); err == nil {
			shown = append(shown, text)
		}
	}
	return shown
}

// detailsDepth bounds how deeply a detail may nest.
const detailsDepth = 100

// httpStatus is the status for the failure where it can still be one.
func (f failure) httpStatus() int { return runtime.HTTPStatusFromCode(f.code) }

// rpcStatus is a google.rpc.Status as proto3 JSON, and what stream-error says
// besides.
type rpcStatus struct {
	Code     int               `json:"code"`
	Message  string            `json:"message"`
	Details  []json.RawMessage `json:"details,omitempty"`
	Status   string            `json:"status,omitempty"`
	Trailers map[string]string `json:"trailers,omitempty"`
}

// body is the failure as the body of an HTTP response.
func (f failure) body() []byte {
	return marshal(rpcStatus{Code: codeNumber(f.code), Message: f.message, Details: f.details})
}

// data is the failure as the data of stream-error.
func (f failure) data(trailers map[string]string) []byte {
	return marshal(rpcStatus{Code: codeNumber(f.code), Message: f.message, Details: f.details, Status: statusName(f.code), Trailers: trailers})
}

// marshal renders shapes that hold strings, numbers and what transcode made,
// which cannot fail.
func marshal(shape any) []byte {
	text, err := json.Marshal(shape)
	if err != nil {
		panic(err)
	}
	return text
}

// statusName is a code as google.rpc.Code spells it; a code of the backend's
// own is its number.
func statusName(c codes.Code) string { return code.Code(codeNumber(c)).String() } //nolint:gosec // an int32

// codeNumber is a code as google.rpc.Status has it, an int32. grpc-go keeps the
// number of a grpc-status such as -1 without its sign.
func codeNumber(c codes.Code) int { return int(int32(c)) } //nolint:gosec // see above

// detailTypes resolves the types in a status's details: the backend's own, and
// those of google.rpc that every backend may use.
func (e *endpoint) detailTypes() detailTypes {
	if b := e.bound.Load(); b != nil {
		return detailTypes{b.schema.Resolver(e.route.RPC)}
	}
	return detailTypes{rpcTypes()}
}

// resolver finds message and extension types.
type resolver interface {
	protoregistry.MessageTypeResolver
	protoregistry.ExtensionTypeResolver
}

type detailTypes struct{ resolver }

// FindMessageByURL looks at the backend's types first.
func (d detailTypes) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	if found, err := d.resolver.FindMessageByURL(url); err == nil {
		return found, nil
	}
	return rpcTypes().FindMessageByURL(url)
}

// FindMessageByName does the same.
func (d detailTypes) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	if found, err := d.resolver.FindMessageByName(name); err == nil {
		return found, nil
	}
	return rpcTypes().FindMessageByName(name)
}

// rpcTypes are google.rpc's types for details, and the well-known types. The
// registry of the process would have all types that the program links: more in the
// command, which links OTLP, than in a program that embeds the bridge.
//
//nolint:gochecknoglobals // immutable
var rpcTypes = sync.OnceValue(func() *dynamicpb.Types {
	files := new(protoregistry.Files)
	for _, file := range []protoreflect.FileDescriptor{
		errdetails.File_google_rpc_error_details_proto,
		rpcstatus.File_google_rpc_status_proto,
		anypb.File_google_protobuf_any_proto,
		durationpb.File_google_protobuf_duration_proto,
		emptypb.File_google_protobuf_empty_proto,
		fieldmaskpb.File_google_protobuf_field_mask_proto,
		structpb.File_google_protobuf_struct_proto,
		timestamppb.File_google_protobuf_timestamp_proto,
		wrapperspb.File_google_protobuf_wrappers_proto,
	} {
		if err := files.RegisterFile(file); err != nil {
			panic(err) // two of them in conflict
		}
	}
	return dynamicpb.NewTypes(files)
})
