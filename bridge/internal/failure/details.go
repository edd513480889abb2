package failure

import (
	"encoding/json"
	"sync"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
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

	"github.com/ssebridge/ssebridge/bridge/internal/transcode"
)

// Types finds message and extension types.
type Types interface {
	protoregistry.MessageTypeResolver
	protoregistry.ExtensionTypeResolver
}

// maxDepth bounds how deeply a detail may nest.
const maxDepth = 100

// details renders the details of a backend's status. A detail without a JSON form, such as
// one of an unknown type, is left out. Details go through transcode, like all bytes of a
// backend, because the protobuf library panics on some.
func details(packed []*anypb.Any, types Types, maxBytes int) []json.RawMessage {
	if len(packed) == 0 {
		return nil
	}
	plan, err := transcode.Compile((*anypb.Any)(nil).ProtoReflect().Descriptor(), transcode.Options{
		Resolver: withRPCTypes{types},
		MaxDepth: maxDepth,
		MaxBytes: maxBytes,
	})
	if err != nil {
		panic(err) // the descriptor of Any is complete, and no taps are asked for
	}
	var shown []json.RawMessage
	for _, detail := range packed {
		if detail.GetTypeUrl() == "" {
			continue // an empty Any, which has no JSON form here
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

// withRPCTypes adds the types of google.rpc, which any backend may use, to a backend's own.
type withRPCTypes struct{ Types }

// FindMessageByURL looks at the backend's types first.
func (t withRPCTypes) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	if found, err := t.Types.FindMessageByURL(url); err == nil {
		return found, nil
	}
	return RPCTypes().FindMessageByURL(url)
}

// FindMessageByName looks at the backend's types first.
func (t withRPCTypes) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	if found, err := t.Types.FindMessageByName(name); err == nil {
		return found, nil
	}
	return RPCTypes().FindMessageByName(name)
}

// RPCTypes returns google.rpc's types for details, and the well-known types. It does not use
// the global registry, whose content depends on the program: the command also links the
// types of OTLP.
//
//nolint:gochecknoglobals // immutable
var RPCTypes = sync.OnceValue(func() *dynamicpb.Types {
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
			panic(err) // two of these files conflict
		}
	}
	return dynamicpb.NewTypes(files)
})
