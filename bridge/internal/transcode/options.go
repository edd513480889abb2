package transcode

import (
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Options are the settings of Compile. The zero value prints proto3 JSON of the whole message, without
// taps.
type Options struct {
	// EmitDefaults also prints fields without presence that have their default, and empty lists and
	// maps. Unset fields with presence stay out (protojson's EmitDefaultValues).
	EmitDefaults bool
	// ProtoNames prints field names as in the .proto file, rather than in lowerCamelCase.
	ProtoNames bool
	// EnumNumbers prints enum values as numbers.
	EnumNumbers bool

	// Resolver finds extensions and the types inside google.protobuf.Any. Nil knows only the types that
	// the message's file and its imports declare, not the types linked into the program.
	Resolver Resolver

	// MaxDepth is the maximum nesting of messages, including the contents of Any. 0 means protobuf-go's
	// own limit of 10,000, which also caps larger values.
	MaxDepth int
	// MaxBytes is the maximum JSON size of one message. 0 is unlimited.
	MaxBytes int

	// Taps are the values to read in addition to the JSON.
	Taps Taps
}

// Resolver finds message types and extensions by name, like [protoregistry.Types] and dynamicpb.Types.
// It must be safe for concurrent use.
type Resolver interface {
	FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error)
	FindMessageByURL(url string) (protoreflect.MessageType, error)
	FindExtensionByName(field protoreflect.FullName) (protoreflect.ExtensionType, error)
	FindExtensionByNumber(message protoreflect.FullName, field protoreflect.FieldNumber) (protoreflect.ExtensionType, error)
}

var _ Resolver = (*protoregistry.Types)(nil)

// Taps select the parts of a message that become parts of its event. Paths are proto names or JSON
// names of fields, joined by dots. A path through a repeated field means its last element; a path
// cannot pass through a map.
type Taps struct {
	// ID is the path of the field with the message's id; "" reads no id. Strings, bytes, integers and
	// google.protobuf.Timestamp can be ids.
	ID string
	// Name selects the event's name.
	Name NameTap
	// Data selects the part of the message to print.
	Data DataTap
}

// NameTap selects an event's name. At most one field is set; without one, events have no name.
type NameTap struct {
	// Field is the path of a string, enum, bool or integer field.
	Field string
	// Oneof is the path of a oneof. The name is the proto name of its set member.
	Oneof string
}

// DataTap selects the part of a message to print. At most one field is set; without one, the whole
// message is printed.
type DataTap struct {
	// Field is the path of a field of any kind. Lists and maps print as JSON arrays and objects.
	Field string
	// Oneof is the path of a oneof. The value of its set member is printed.
	Oneof string
}
