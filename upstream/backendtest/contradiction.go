package backendtest

import (
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
)

// The services of WithContradiction.
const (
	AlphaMethod = "alpha.v1.AlphaService/Watch"
	BetaMethod  = "beta.v1.BetaService/Watch"
)

// The messages of the two services, as JSON.
const (
	AlphaEvent = `{"note":{"text":"hello"},"detail":{"@type":"type.googleapis.com/beta.v1.Event","note":{"title":"hello","number":"7"}}}`
	BetaEvent  = `{"note":{"title":"hello","number":"7"},"detail":{"@type":"type.googleapis.com/alpha.v1.Event","note":{"text":"hello"}}}`
)

// WithContradiction adds two services whose files contradict each other, like those of a server
// that answers for two: alpha.proto imports common.proto, beta.proto imports proto/common.proto,
// and both declare common.Note, with different fields. Each service sends one message with a Note
// and with the event of the other service in an Any.
func WithContradiction(tb testing.TB) Option {
	tb.Helper()
	alpha := contradicting(tb, "alpha", "common.proto", field("text", 1, descriptorpb.FieldDescriptorProto_TYPE_STRING))
	beta := contradicting(tb, "beta", "proto/common.proto",
		field("title", 1, descriptorpb.FieldDescriptorProto_TYPE_STRING), field("number", 2, descriptorpb.FieldDescriptorProto_TYPE_INT64))
	return func(o *options) {
		o.descriptors = allFiles{protoregistry.GlobalFiles, alpha, beta}
		o.services = append(o.services, watching(tb, alpha, beta, "alpha"), watching(tb, beta, alpha, "beta"))
	}
}

// allFiles are several registries. The first that knows a name answers.
type allFiles []protodesc.Resolver

// FindFileByPath finds a file in the first registry that has it.
func (a allFiles) FindFileByPath(path string) (file protoreflect.FileDescriptor, err error) {
	for _, files := range a {
		if file, err = files.FindFileByPath(path); err == nil {
			break
		}
	}
	return file, err
}

// FindDescriptorByName finds a symbol in the first registry that has it.
func (a allFiles) FindDescriptorByName(name protoreflect.FullName) (symbol protoreflect.Descriptor, err error) {
	for _, files := range a {
		if symbol, err = files.FindDescriptorByName(name); err == nil {
			break
		}
	}
	return symbol, err
}

func field(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
	return &descriptorpb.FieldDescriptorProto{
		Name: &name, Number: &number, Type: &kind, Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), JsonName: &name,
	}
}

// contradicting returns the files of a service that is named like its package.
func contradicting(tb testing.TB, name, common string, note ...*descriptorpb.FieldDescriptorProto) *protoregistry.Files {
	tb.Helper()
	message := func(name string, number int32, of string) *descriptorpb.FieldDescriptorProto {
		f := field(name, number, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE)
		f.TypeName = &of
		return f
	}
	service := map[string]string{"alpha": "AlphaService", "beta": "BetaService"}[name]
	files, err := protodesc.NewFiles(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(anypb.File_google_protobuf_any_proto),
		protodesc.ToFileDescriptorProto(emptypb.File_google_protobuf_empty_proto),
		{
			Name: &common, Package: new("common"), Syntax: new("proto3"),
			MessageType: []*descriptorpb.DescriptorProto{{Name: new("Note"), Field: note}},
		},
		{
			Name: new(name + ".proto"), Package: new(name + ".v1"), Syntax: new("proto3"),
			Dependency: []string{common, "google/protobuf/any.proto", "google/protobuf/empty.proto"},
			MessageType: []*descriptorpb.DescriptorProto{{Name: new("Event"), Field: []*descriptorpb.FieldDescriptorProto{
				message("note", 1, ".common.Note"), message("detail", 2, ".google.protobuf.Any"),
			}}},
			Service: []*descriptorpb.ServiceDescriptorProto{{Name: &service, Method: []*descriptorpb.MethodDescriptorProto{{
				Name: new("Watch"), InputType: new(".google.protobuf.Empty"), OutputType: new("." + name + ".v1.Event"), ServerStreaming: new(true),
			}}}},
		},
	}})
	if err != nil {
		tb.Fatalf("backendtest: %v", err)
	}
	return files
}

// watching returns the service of files, which sends one event and waits.
func watching(tb testing.TB, files, others *protoregistry.Files, name string) service {
	tb.Helper()
	own, other := newEvent(tb, files, name), newEvent(tb, others, map[string]string{"alpha": "beta", "beta": "alpha"}[name])
	packed, err := proto.Marshal(other)
	if err != nil {
		tb.Fatalf("backendtest: %v", err)
	}
	detail := own.Descriptor().Fields().ByName("detail")
	box := own.Mutable(detail).Message()
	box.Set(box.Descriptor().Fields().ByName("type_url"), protoreflect.ValueOfString("type.googleapis.com/"+string(other.Descriptor().FullName())))
	box.Set(box.Descriptor().Fields().ByName("value"), protoreflect.ValueOfBytes(packed))
	send := func(_ any, stream grpc.ServerStream) error {
		if err := stream.RecvMsg(new(emptypb.Empty)); err != nil {
			return err
		}
		if err := stream.SendMsg(own); err != nil {
			return err
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	parent := own.Descriptor().ParentFile().Services().Get(0)
	return service{&grpc.ServiceDesc{
		ServiceName: string(parent.FullName()),
		Streams:     []grpc.StreamDesc{{StreamName: "Watch", Handler: send, ServerStreams: true}},
		Metadata:    parent.ParentFile().Path(),
	}, nil}
}

// newEvent returns an event whose Note has all fields set.
func newEvent(tb testing.TB, files *protoregistry.Files, name string) *dynamicpb.Message {
	tb.Helper()
	found, err := files.FindDescriptorByName(protoreflect.FullName(name + ".v1.Event"))
	if err != nil {
		tb.Fatalf("backendtest: %v", err)
	}
	event := dynamicpb.NewMessage(found.(protoreflect.MessageDescriptor)) //nolint:errcheck // made by contradicting
	note := event.Mutable(event.Descriptor().Fields().ByName("note")).Message()
	for i := range note.Descriptor().Fields().Len() {
		f := note.Descriptor().Fields().Get(i)
		if f.Kind() == protoreflect.Int64Kind {
			note.Set(f, protoreflect.ValueOfInt64(7))
		} else {
			note.Set(f, protoreflect.ValueOfString("hello"))
		}
	}
	return event
}
