package transcode

import (
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Options says how a message type is compiled. The zero value is plain proto3 JSON of the whole message, without taps.
type Options struct {
	// EmitDefaults prints fields without presence that hold their default, and empty lists and maps. Fields with
	// presence stay out when unset, so that presence survives (protojson's EmitDefaultValues).
	EmitDefaults bool
	// ProtoNames prints field names as the .proto file has them instead of lowerCamelCase.
	ProtoNames bool
	// EnumNumbers prints enum values as numbers.
	EnumNumbers bool

	// Resolver finds the types inside google.protobuf.Any, and extensions. Nil knows what the file of the message
	// and its imports declare, and nothing else: what a program happens to have linked in has no say.
	Resolver Resolver

	// MaxDepth bounds how deeply messages nest, the contents of Any included. 0, and what exceeds it, is
	// protobuf-go's own limit of 10,000.
	MaxDepth int
	// MaxBytes bounds the JSON of one message, in bytes. 0 is unlimited.
	MaxBytes int

	// Taps are the values read beside the JSON.
	Taps Taps
}

// Resolver finds message types and extensions by name, as [protoregistry.Types] and dynamicpb.Types do. It is called by
// several goroutines at once.
type Resolver interface {
	FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error)
	FindMessageByURL(url string) (protoreflect.MessageType, error)
	FindExtensionByName(field protoreflect.FullName) (protoreflect.ExtensionType, error)
	FindExtensionByNumber(message protoreflect.FullName, field protoreflect.FieldNumber) (protoreflect.ExtensionType, error)
}

var _ Resolver = (*protoregistry.Types)(nil)

// Taps name the parts of a message that become parts of its event. Paths are field names joined by dots; proto names
// and JSON names are both taken. A path through a repeated field means its last element; maps cannot be passed through.
type Taps struct {
	// ID is the path of the field that carries the message's id; "" reads none. Strings, bytes, integers and
	// google.protobuf.Timestamp can be ids.
	ID string
	// Name is where the event's name comes from.
	Name NameTap
	// Data is the part of the message that is printed.
	Data DataTap
}

// NameTap says where an event's name comes from: one of its members is set, or none for no name.
type NameTap struct {
	// Field is the path of a string, enum, bool or integer field.
	Field string
	// Oneof is the path of a oneof; the name is that of the member set, as the .proto file has it.
	Oneof string
}

// DataTap says which part of a message is printed: one of its members is set, or none for the whole message.
type DataTap struct {
	// Field is the path of a field of any kind; lists and maps print as JSON arrays and objects.
	Field string
	// Oneof is the path of a oneof; the value of the member set is printed.
	Oneof string
}
