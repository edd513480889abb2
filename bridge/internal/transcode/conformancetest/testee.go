package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/ssebridge/ssebridge/bridge/internal/transcode"
)

// protoFiles are the files that the suite installs.
var protoFiles = []string{
	"conformance/conformance.proto",
	"google/protobuf/test_messages_proto2.proto",
	"google/protobuf/test_messages_proto3.proto",
	"google/protobuf/test_messages_proto2_editions.proto",
	"google/protobuf/test_messages_proto3_editions.proto",
	"google/protobuf/test_messages_edition2023.proto",
}

// jsonFormat is conformance.WireFormat's value for JSON.
const jsonFormat = 2

// testee answers requests.
type testee struct {
	types    *dynamicpb.Types
	request  protoreflect.MessageDescriptor
	response protoreflect.MessageDescriptor
	plans    map[protoreflect.FullName]*transcode.Plan
	report   report
}

func newTestee(ctx context.Context, folder string) (*testee, error) {
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{filepath.Clean(folder)}}),
	}

	compiled, err := compiler.Compile(ctx, protoFiles...)
	if err != nil {
		return nil, err
	}

	files := new(protoregistry.Files)
	seen := map[string]bool{}

	for _, fd := range compiled {
		if err := register(files, fd, seen); err != nil {
			return nil, err
		}
	}

	t := &testee{types: dynamicpb.NewTypes(files), plans: map[protoreflect.FullName]*transcode.Plan{}, report: newReport()}

	for name, md := range map[protoreflect.FullName]*protoreflect.MessageDescriptor{
		"conformance.ConformanceRequest": &t.request, "conformance.ConformanceResponse": &t.response,
	} {
		mt, err := t.types.FindMessageByName(name)
		if err != nil {
			return nil, err
		}

		*md = mt.Descriptor()
	}
	return t, nil
}

// register registers a file after its imports.
func register(files *protoregistry.Files, fd protoreflect.FileDescriptor, seen map[string]bool) error {
	if seen[fd.Path()] {
		return nil
	}

	seen[fd.Path()] = true

	for i := range fd.Imports().Len() {
		if err := register(files, fd.Imports().Get(i).FileDescriptor, seen); err != nil {
			return err
		}
	}
	return files.RegisterFile(fd)
}

// answer answers one request.
func (t *testee) answer(wire []byte) ([]byte, error) {
	request := dynamicpb.NewMessage(t.request)
	if err := proto.Unmarshal(wire, request); err != nil {
		return nil, err
	}

	member, text := t.result(request)
	response := dynamicpb.NewMessage(t.response)
	response.Set(t.response.Fields().ByName(member), protoreflect.ValueOfString(text))
	return proto.Marshal(response)
}

// result returns the member of the response's oneof and its value.
func (t *testee) result(request *dynamicpb.Message) (member protoreflect.Name, text string) {
	fields := t.request.Fields()
	name := protoreflect.FullName(request.Get(fields.ByName("message_type")).String())

	payload := request.WhichOneof(t.request.Oneofs().ByName("payload"))
	if payload == nil || request.Get(fields.ByName("requested_output_format")).Enum() != jsonFormat {
		return "skipped", "this testee writes JSON only"
	}

	mt, err := t.types.FindMessageByName(name)
	if err != nil {
		return "runtime_error", err.Error()
	}

	switch payload.Name() {
	case "protobuf_payload":
		return t.transcode(mt.Descriptor(), request.Get(payload).Bytes(), "protobuf → JSON")
	case "json_payload":
		msg := mt.New().Interface()
		given := []byte(request.Get(payload).String())

		if !bytes.Contains(given, []byte(`"@type"`)) {
			return "skipped", "no Any in it"
		}

		if err := (protojson.UnmarshalOptions{Resolver: t.types, DiscardUnknown: true}).Unmarshal(given, msg); err != nil {
			return "parse_error", err.Error()
		}

		wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(msg)
		if err != nil {
			return "serialize_error", err.Error()
		}
		return t.transcode(mt.Descriptor(), wire, "Any in JSON → JSON")
	default:
		return "skipped", "this testee reads the wire format only"
	}
}

// transcode prints a message and records its path.
func (t *testee) transcode(md protoreflect.MessageDescriptor, wire []byte, kind string) (member protoreflect.Name, text string) {
	plan := t.plans[md.FullName()]
	if plan == nil {
		var err error
		if plan, err = transcode.Compile(md, transcode.Options{Resolver: t.types}); err != nil {
			return "runtime_error", err.Error()
		}

		t.plans[md.FullName()] = plan
	}

	before := plan.Stats()
	printed, err := plan.AppendJSON(nil, wire)
	way, reason := wayTaken(before, plan.Stats())
	t.report.add(kind, way, fallback{message: string(md.FullName()), wire: hex.EncodeToString(wire), reason: reason, failed: err != nil})

	// The library confirms errors. If it prints the message, the plan is wrong about it.
	if err == nil && way == libraryWay && !outOfReach[reason] {
		return "runtime_error", fmt.Sprintf("the plan finds %s, and the library prints the message", reason)
	}

	switch failure, ok := err.(*transcode.Error); { //nolint:errorlint // the package wraps none
	case err == nil:
		return "json_payload", string(printed)
	case ok && failure.Kind == transcode.KindUndecodable:
		return "parse_error", err.Error()
	default:
		return "serialize_error", err.Error()
	}
}
