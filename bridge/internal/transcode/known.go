package transcode

import "google.golang.org/protobuf/reflect/protoreflect"

// knownField is a field of a well-known type.
type knownField struct {
	number      protoreflect.FieldNumber
	kind        protoreflect.Kind
	cardinality protoreflect.Cardinality
}

const (
	one  = protoreflect.Optional
	many = protoreflect.Repeated
)

// knownFields has the fields of the well-known types that this package prints.
var knownFields = map[protoreflect.FullName][]knownField{ //nolint:gochecknoglobals // a table
	anyName:       {{1, protoreflect.StringKind, one}, {2, protoreflect.BytesKind, one}},
	timestampName: {{1, protoreflect.Int64Kind, one}, {2, protoreflect.Int32Kind, one}},
	durationName:  {{1, protoreflect.Int64Kind, one}, {2, protoreflect.Int32Kind, one}},
	fieldMaskName: {{1, protoreflect.StringKind, many}},
	structName:    {{1, protoreflect.MessageKind, many}},
	listValueName: {{1, protoreflect.MessageKind, many}},
	valueName: {
		{1, protoreflect.EnumKind, one},
		{2, protoreflect.DoubleKind, one},
		{3, protoreflect.StringKind, one},
		{4, protoreflect.BoolKind, one},
		{5, protoreflect.MessageKind, one},
		{6, protoreflect.MessageKind, one},
	},
	"google.protobuf.BoolValue":   {{1, protoreflect.BoolKind, one}},
	"google.protobuf.StringValue": {{1, protoreflect.StringKind, one}},
	"google.protobuf.BytesValue":  {{1, protoreflect.BytesKind, one}},
	"google.protobuf.Int32Value":  {{1, protoreflect.Int32Kind, one}},
	"google.protobuf.UInt32Value": {{1, protoreflect.Uint32Kind, one}},
	"google.protobuf.FloatValue":  {{1, protoreflect.FloatKind, one}},
	"google.protobuf.Int64Value":  {{1, protoreflect.Int64Kind, one}},
	"google.protobuf.UInt64Value": {{1, protoreflect.Uint64Kind, one}},
	"google.protobuf.DoubleValue": {{1, protoreflect.DoubleKind, one}},
}

// isAsKnown reports whether a type with a well-known name really is that type. A backend may describe
// any type under such a name; the library then decides its JSON.
func isAsKnown(md protoreflect.MessageDescriptor) bool {
	known, ok := knownFields[md.FullName()]
	if !ok {
		return true
	}

	fields := md.Fields()
	if fields.Len() != len(known) {
		return false
	}

	for _, want := range known {
		fd := fields.ByNumber(want.number)
		if fd == nil || fd.Kind() != want.kind || fd.Cardinality() != want.cardinality {
			return false
		}

		if want.cardinality == one && md.FullName() != valueName && fd.HasPresence() {
			return false
		}
	}
	return knownInside(md)
}

// knownInside checks the field types of google/protobuf/struct.proto.
func knownInside(md protoreflect.MessageDescriptor) bool {
	fields := md.Fields()

	switch md.FullName() {
	case structName:
		fd := fields.ByNumber(1)
		return fd.IsMap() && fd.MapKey().Kind() == protoreflect.StringKind && isNamed(fd.MapValue(), valueName)
	case listValueName:
		return isNamed(fields.ByNumber(1), valueName)
	case valueName:
		kind := md.Oneofs().ByName("kind")
		return kind != nil && kind.Fields().Len() == fields.Len() && fields.ByNumber(1).Enum().FullName() == nullValueName &&
			isNamed(fields.ByNumber(5), structName) && isNamed(fields.ByNumber(6), listValueName)
	default:
		return true
	}
}

func isNamed(fd protoreflect.FieldDescriptor, name protoreflect.FullName) bool {
	return fd.Message() != nil && fd.Message().FullName() == name
}
