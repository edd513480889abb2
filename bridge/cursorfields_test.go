package bridge

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	_ "google.golang.org/protobuf/types/known/timestamppb" // registers the type
)

func TestCursorFieldsAreFoundByNameAndType(t *testing.T) {
	for _, c := range []struct{ request, event, id, field string }{
		{"string shop_id, uint64 after_sequence, int32 limit", "uint64 sequence, string shop_id, string text", "sequence", "after_sequence"},
		{"string room_id, int64 after_seq", "int64 seq, string room_id", "seq", "after_seq"},
		{"string topic, int64 after", "string kind, int64 seq", "seq", "after"},
		{"int64 after, int64 limit", "int64 id, int64 sequence", "sequence", "after"},
		{"string since", "string id, string text", "id", "since"},
		{"int64 after_seq", "uint32 sequence_number", "sequence_number", "after_seq"},
		{"int64 after_event_id", "int64 seq, int64 id", "id", "after_event_id"},
		{"string last_seen_id", "string event_id, string user_id", "event_id", "last_seen_id"},
		{"string lastEventId", "string eventId", "eventId", "lastEventId"},
		{"string cursor", "string cursor", "cursor", "cursor"},
		{"bytes resume_token", "bytes resume_token", "resume_token", "resume_token"},
		{"string resume_token", "string token", "token", "resume_token"},
		{"int64 start_revision", "int64 revision", "revision", "start_revision"},
		{"int64 offset, int64 since_id", "int64 id, int64 offset", "offset", "offset"},
		{"Timestamp since", "int64 seq, Timestamp created_at", "created_at", "since"},

		{"string after", "int64 seq", "", ""}, // the types differ
		{"Timestamp since", "string time", "", ""},
		{"repeated int64 after_seq", "int64 seq", "", ""},
		{"int64 after_seq", "repeated int64 seq", "", ""},
		{"string room_id", "string room_id, string id", "", ""},
		{"string id", "string id", "", ""}, // the id selects the stream
		{"string token", "string token", "", ""},
		{"string from_user_id", "string user_id, string id", "", ""},
		{"string from, string to", "string id", "", ""},
		{"int32 last", "int32 id", "", ""}, // a number of events
		{"int64 version", "int64 version", "", ""},
		{"int32 limit, bool history", "int64 seq", "", ""},
		{"", "int64 seq", "", ""},
		{"int64 after", "", "", ""},
	} {
		got := cursorFieldsOf(watchOf(t, c.request, c.event))
		if got.ID != c.id || got.Field != c.field {
			t.Errorf("(%s) returns (stream %s): got %+v, want event.id %q and resume.field %q", c.request, c.event, got, c.id, c.field)
		}
	}
}

// watchOf returns a server-streaming method whose request and messages have the given fields.
func watchOf(t *testing.T, request, event string) protoreflect.MethodDescriptor {
	t.Helper()
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("w.proto"), Package: new("w"), Syntax: new("proto3"), Dependency: []string{"google/protobuf/timestamp.proto"},
		MessageType: []*descriptorpb.DescriptorProto{messageOf("Request", request), messageOf("Event", event)},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: new("Feed"), Method: []*descriptorpb.MethodDescriptorProto{{
			Name: new("Watch"), InputType: new(".w.Request"), OutputType: new(".w.Event"), ServerStreaming: new(true),
		}}}},
	}, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return file.Services().Get(0).Methods().Get(0)
}

func messageOf(name, fields string) *descriptorpb.DescriptorProto {
	m := &descriptorpb.DescriptorProto{Name: new(name)}
	for i, text := range strings.Split(fields, ", ") {
		text, repeated := strings.CutPrefix(text, "repeated ")
		kind, field, ok := strings.Cut(text, " ")
		if !ok {
			continue
		}
		f := &descriptorpb.FieldDescriptorProto{Name: new(field), Number: new(int32(i) + 1), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
		if repeated {
			f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		}
		if kind == "Timestamp" {
			f.Type, f.TypeName = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), new(".google.protobuf.Timestamp")
		} else {
			f.Type = descriptorpb.FieldDescriptorProto_Type(descriptorpb.FieldDescriptorProto_Type_value["TYPE_"+strings.ToUpper(kind)]).Enum()
		}
		m.Field = append(m.Field, f)
	}
	return m
}
