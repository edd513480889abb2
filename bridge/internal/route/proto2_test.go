package route

import (
	"testing"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// TestProto2 covers the features that proto3 lacks: required fields, extensions, closed enums.
func TestProto2(t *testing.T) {
	t.Parallel()

	field := func(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{
			Name: new(name), Number: new(number), JsonName: new(name),
			Type: kind.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
	}
	required := field("must", 1, descriptorpb.FieldDescriptorProto_TYPE_STRING)
	required.Label = descriptorpb.FieldDescriptorProto_LABEL_REQUIRED.Enum()
	closed := field("closed", 2, descriptorpb.FieldDescriptorProto_TYPE_ENUM)
	closed.TypeName = new(".old.Enum")
	extension := field("more", 100, descriptorpb.FieldDescriptorProto_TYPE_INT32)
	extension.Extendee = new(".old.Request")
	extension.JsonName = nil

	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("old.proto"), Package: new("old"),
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: new("Request"), Field: []*descriptorpb.FieldDescriptorProto{required, closed},
			ExtensionRange: []*descriptorpb.DescriptorProto_ExtensionRange{{Start: new(int32(100)), End: new(int32(200))}},
		}},
		EnumType: []*descriptorpb.EnumDescriptorProto{{
			Name: new("Enum"), Value: []*descriptorpb.EnumValueDescriptorProto{{Name: new("ONE"), Number: new(int32(1))}},
		}},
		Extension: []*descriptorpb.FieldDescriptorProto{extension},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}

	types := new(protoregistry.Types)
	if err := types.RegisterExtension(dynamicpb.NewExtensionType(file.Extensions().Get(0))); err != nil {
		t.Fatal(err)
	}

	all, err := Compile(openSpec, file.Messages().Get(0), types)
	if err != nil {
		t.Fatal(err)
	}

	listed, err := Compile(Spec{Body: Fields{Paths: []string{"must"}}}, file.Messages().Get(0), types)
	if err != nil {
		t.Fatal(err)
	}

	for _, tt := range []struct {
		binder  *Binder
		request request
		want    string
	}{
		{all, request{query: "must="}, "\x0a\x00"},
		{all, request{}, "400 : the request is no old.Request: required field old.Request.must not set"},
		{all, request{query: "must=a&closed=1"}, "\x0a\x01a\x10\x01"},
		{all, request{query: "must=a&closed=2"}, `400 closed: want a name or number of old.Enum, got "2"`},
		{all, request{body: `{"must":"a","[old.more]":5}`}, "\xa0\x06\x05\x0a\x01a"},
		{all, request{body: `{"must":"a","[old.more]":"x"}`}, `400 [old.more]: want a 32-bit integer, got "x"`},
		{all, request{body: `{"must":"a","[old.more]":5,"[old.more]":6}`}, "400 [old.more]: it is given twice"},
		{all, request{body: `{"must":"a","[old.less]":5}`}, "400 [old.less]: unknown field"},
		{all, request{body: `{"must":"a","old.more]":5}`}, "400 old.more]: unknown field"},
		{all, request{body: `{"must":"a","[":5}`}, "400 [: unknown field"},
		{all, request{query: "must=a&[old.more]=5"}, "400 [old.more]: unknown field (for the operator: the route's request.ignore lists names to ignore)"},
		{listed, request{body: `{"must":"a","[old.more]":5}`}, "400 [old.more]: it is not open to the body"},
	} {
		bound, err := tt.request.bind(tt.binder)

		got := string(bound.Wire)
		if err != nil {
			got = outcome(err)
		}

		if got != tt.want {
			t.Errorf("%+v: got %q; want %q", tt.request, got, tt.want)
		}
	}
}
