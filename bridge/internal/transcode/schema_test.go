package transcode

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

type (
	fieldLabel = descriptorpb.FieldDescriptorProto_Label
	fieldType  = descriptorpb.FieldDescriptorProto_Type
)

// wellKnownNames are the well-known types in random schemas.
var wellKnownNames = []string{
	"Any", "Timestamp", "Duration", "FieldMask", "Struct", "Value", "ListValue", "Empty", "BoolValue", "StringValue", "BytesValue",
	"Int32Value", "UInt32Value", "FloatValue", "Int64Value", "UInt64Value", "DoubleValue",
}

// wellKnownFiles are the files of wellKnownNames.
var wellKnownFiles = []string{
	"google/protobuf/any.proto", "google/protobuf/timestamp.proto", "google/protobuf/duration.proto", "google/protobuf/field_mask.proto",
	"google/protobuf/struct.proto", "google/protobuf/empty.proto", "google/protobuf/wrappers.proto",
}

// schemaMessages is the number of message types in a random schema; they refer to each other and to
// themselves.
const schemaMessages = 4

// schemaMaker creates random schemas: every kind of field, in any declaration order, with small and
// large numbers.
type schemaMaker struct {
	*rand.Rand
	syntax string // proto2, proto3 or editions
}

// randomSchema returns the types of a random file and a resolver that knows them.
func randomSchema(tb testing.TB, random *rand.Rand) ([]protoreflect.MessageDescriptor, Resolver) {
	tb.Helper()

	m := schemaMaker{Rand: random, syntax: []string{"proto2", "proto3", "editions"}[random.IntN(3)]}
	file := &descriptorpb.FileDescriptorProto{
		Name: new("random.proto"), Package: new("random"), Syntax: new(m.syntax), Dependency: wellKnownFiles,
		EnumType: []*descriptorpb.EnumDescriptorProto{m.enum()},
	}

	if m.syntax == "editions" {
		file.Edition = descriptorpb.Edition_EDITION_2023.Enum()
		file.Options = &descriptorpb.FileOptions{Features: m.features()}
	}

	for i := range schemaMessages {
		file.MessageType = append(file.MessageType, m.message(i))
	}

	if m.syntax != "proto3" {
		file.Extension = m.extensions()
	}

	fd, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		tb.Fatalf("the schema is not valid: %v\n%v", err, file)
	}

	files := new(protoregistry.Files)
	if err := files.RegisterFile(fd); err != nil {
		tb.Fatal(err)
	}

	for _, path := range wellKnownFiles {
		known, err := protoregistry.GlobalFiles.FindFileByPath(path)
		if err != nil {
			tb.Fatal(err)
		}

		if err := files.RegisterFile(known); err != nil {
			tb.Fatal(err)
		}
	}

	var types []protoreflect.MessageDescriptor
	for i := range fd.Messages().Len() {
		types = append(types, fd.Messages().Get(i))
	}
	return types, dynamicpb.NewTypes(files)
}

// features sets random features of editions.
func (m schemaMaker) features() *descriptorpb.FeatureSet {
	features := &descriptorpb.FeatureSet{
		FieldPresence: descriptorpb.FeatureSet_EXPLICIT.Enum(), EnumType: descriptorpb.FeatureSet_OPEN.Enum(),
		Utf8Validation: descriptorpb.FeatureSet_VERIFY.Enum(), MessageEncoding: descriptorpb.FeatureSet_LENGTH_PREFIXED.Enum(),
	}

	if m.IntN(2) == 0 {
		features.FieldPresence = descriptorpb.FeatureSet_IMPLICIT.Enum()
	}

	if m.IntN(3) == 0 && features.GetFieldPresence() == descriptorpb.FeatureSet_EXPLICIT {
		features.EnumType = descriptorpb.FeatureSet_CLOSED.Enum()
	}

	if m.IntN(2) == 0 {
		features.Utf8Validation = descriptorpb.FeatureSet_NONE.Enum()
	}

	if m.IntN(3) == 0 {
		features.MessageEncoding = descriptorpb.FeatureSet_DELIMITED.Enum()
	}
	return features
}

func (m schemaMaker) enum() *descriptorpb.EnumDescriptorProto {
	e := &descriptorpb.EnumDescriptorProto{Name: new("Enum"), Options: &descriptorpb.EnumOptions{AllowAlias: new(true)}}
	for i, number := range []int32{0, 1, 1, 2, 7, -1, 600, 1 << 30} {
		e.Value = append(e.Value, &descriptorpb.EnumValueDescriptorProto{Name: new(fmt.Sprintf("VALUE_%d", i)), Number: new(number)})
	}
	return e
}

func (m schemaMaker) message(k int) *descriptorpb.DescriptorProto {
	msg := &descriptorpb.DescriptorProto{Name: new(fmt.Sprintf("M%d", k))}
	count := 1 + m.IntN(14)
	number := int32(0)

	for i := range count {
		number += 1 + []int32{0, 0, 0, 0, 1, 12, 500, 1 << 20}[m.IntN(8)]
		msg.Field = append(msg.Field, m.field(msg, i, number))
	}

	// Most schemas number their fields in declaration order.
	if m.IntN(2) == 0 {
		for i, k := range m.Perm(count) {
			if other := msg.GetField()[k]; k < i {
				number := msg.GetField()[i].GetNumber()
				msg.GetField()[i].Number = new(other.GetNumber())
				other.Number = new(number)
			}
		}
	}

	m.oneofs(msg)

	if m.syntax != "proto3" {
		msg.ExtensionRange = []*descriptorpb.DescriptorProto_ExtensionRange{{Start: new(int32(100_000_000)), End: new(int32(100_000_010))}}
	}
	return msg
}

// field creates the i-th field of a message. Maps and groups add a type.
func (m schemaMaker) field(msg *descriptorpb.DescriptorProto, i int, number int32) *descriptorpb.FieldDescriptorProto {
	f := &descriptorpb.FieldDescriptorProto{Name: new(fmt.Sprintf("field_%d", i)), Number: new(number)}

	m.setType(f)
	f.Label = m.label()

	switch {
	case m.IntN(8) == 0:
		m.makeMap(msg, f, i)
	case m.syntax == "proto2" && m.IntN(10) == 0:
		m.makeGroup(msg, f, i)
	case f.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REPEATED && f.GetType() <= descriptorpb.FieldDescriptorProto_TYPE_BOOL &&
		m.syntax != "editions" && m.IntN(2) == 0:
		f.Options = &descriptorpb.FieldOptions{Packed: new(m.IntN(2) == 0)}
	}
	return f
}

func (m schemaMaker) label() *fieldLabel {
	switch n := m.IntN(8); {
	case n < 2:
		return descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	case n == 7 && m.syntax == "proto2":
		return descriptorpb.FieldDescriptorProto_LABEL_REQUIRED.Enum()
	default:
		return descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()
	}
}

// setType gives a field a scalar type, the enum, a message of the file, or a well-known type.
func (m schemaMaker) setType(f *descriptorpb.FieldDescriptorProto) {
	scalars := []fieldType{1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 15, 16, 17, 18}

	switch n := m.IntN(24); {
	case n < len(scalars):
		f.Type = scalars[n].Enum()
	case n < 17:
		f.Type, f.TypeName = descriptorpb.FieldDescriptorProto_TYPE_ENUM.Enum(), new(".random.Enum")
	case n < 20:
		f.Type, f.TypeName = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), new(fmt.Sprintf(".random.M%d", m.IntN(schemaMessages)))
	case n == 20 && m.syntax == "proto3":
		f.Type, f.TypeName = descriptorpb.FieldDescriptorProto_TYPE_ENUM.Enum(), new(".google.protobuf.NullValue")
	default:
		name := wellKnownNames[m.IntN(len(wellKnownNames))]
		f.Type, f.TypeName = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), new(".google.protobuf."+name)
	}
}

func (m schemaMaker) makeMap(msg *descriptorpb.DescriptorProto, f *descriptorpb.FieldDescriptorProto, i int) {
	keys := []fieldType{3, 4, 5, 6, 7, 8, 9, 13, 15, 16, 17, 18}
	optional := descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()
	entry := &descriptorpb.DescriptorProto{
		Name: new(fmt.Sprintf("Field%dEntry", i)), Options: &descriptorpb.MessageOptions{MapEntry: new(true)},
		Field: []*descriptorpb.FieldDescriptorProto{
			{Name: new("key"), Number: new(int32(1)), Label: optional, Type: keys[m.IntN(len(keys))].Enum()},
			{Name: new("value"), Number: new(int32(2)), Label: optional, Type: f.Type, TypeName: f.TypeName},
		},
	}

	msg.NestedType = append(msg.NestedType, entry)
	f.Type, f.Label = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	f.TypeName = new(".random." + msg.GetName() + "." + entry.GetName())
}

func (m schemaMaker) makeGroup(msg *descriptorpb.DescriptorProto, f *descriptorpb.FieldDescriptorProto, i int) {
	group := &descriptorpb.DescriptorProto{Name: new(fmt.Sprintf("Group%d", i))}
	group.Field = []*descriptorpb.FieldDescriptorProto{
		{Name: new("inner"), Number: new(int32(1)), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()},
		{Name: new("again"), Number: new(int32(2)), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()},
	}

	for _, inner := range group.GetField() {
		m.setType(inner)
	}

	msg.NestedType = append(msg.NestedType, group)
	f.Name = new(fmt.Sprintf("group%d", i))
	f.Type, f.TypeName = descriptorpb.FieldDescriptorProto_TYPE_GROUP.Enum(), new(".random."+msg.GetName()+"."+group.GetName())
}

// oneofs puts some runs of singular fields into oneofs, and makes others proto3 optional.
func (m schemaMaker) oneofs(msg *descriptorpb.DescriptorProto) {
	singular := func(f *descriptorpb.FieldDescriptorProto) bool {
		return f.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL && f.OneofIndex == nil
	}

	for i := 0; i < len(msg.GetField()); i++ {
		if m.IntN(4) != 0 {
			continue
		}

		index := int32(len(msg.GetOneofDecl()))
		end := i

		for end < len(msg.GetField()) && end < i+3 && singular(msg.GetField()[end]) {
			msg.GetField()[end].OneofIndex = new(index)
			end++
		}

		if end > i {
			msg.OneofDecl = append(msg.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: new(fmt.Sprintf("oneof_%d", index))})
			i = end - 1
		}
	}

	if m.syntax != "proto3" {
		return
	}

	for _, f := range msg.GetField() {
		if singular(f) && m.IntN(3) == 0 {
			f.OneofIndex = new(int32(len(msg.GetOneofDecl())))
			f.Proto3Optional = new(true)
			msg.OneofDecl = append(msg.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: new("_" + f.GetName())})
		}
	}
}

func (m schemaMaker) extensions() []*descriptorpb.FieldDescriptorProto {
	var all []*descriptorpb.FieldDescriptorProto

	for i := range int32(3) {
		f := &descriptorpb.FieldDescriptorProto{
			Name: new(fmt.Sprintf("extension_%d", 9-i)), Number: new(100_000_000 + i), Extendee: new(".random.M0"),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
		m.setType(f)

		if m.IntN(3) == 0 {
			f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		}

		all = append(all, f)
	}
	return all
}

// groupSchema returns a proto2 type with a recursive group and a list of numbers.
func groupSchema(tb testing.TB) (protoreflect.MessageDescriptor, Resolver) {
	tb.Helper()

	optional, repeated := descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL, descriptorpb.FieldDescriptorProto_LABEL_REPEATED
	file := &descriptorpb.FileDescriptorProto{
		Name: new("groups.proto"), Package: new("groups"), Edition: descriptorpb.Edition_EDITION_2023.Enum(), Syntax: new("editions"),
		Options: &descriptorpb.FileOptions{Features: &descriptorpb.FeatureSet{MessageEncoding: descriptorpb.FeatureSet_DELIMITED.Enum()}},
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: new("Deep"),
			Field: []*descriptorpb.FieldDescriptorProto{
				{Name: new("deep"), Number: new(int32(1)), Label: &optional, Type: descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), TypeName: new(".groups.Deep")},
				{Name: new("numbers"), Number: new(int32(2)), Label: &repeated, Type: descriptorpb.FieldDescriptorProto_TYPE_INT32.Enum()},
			},
		}},
	}
	return buildFile(tb, file).Messages().Get(0), protoregistry.GlobalTypes
}

// impostor returns a type with a well-known type's name but other fields.
func impostor(tb testing.TB, name string) protoreflect.MessageDescriptor {
	tb.Helper()
	return buildFile(tb, &descriptorpb.FileDescriptorProto{
		Name: new("impostor.proto"), Package: new("google.protobuf"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: new(name),
			Field: []*descriptorpb.FieldDescriptorProto{{
				Name: new("text"), Number: new(int32(1)), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
				Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(),
			}},
		}},
	}).Messages().Get(0)
}
