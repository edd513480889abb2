package route

import (
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The forms of well-known types whose proto3 JSON is a scalar.
const (
	boolForm   = "true or false"
	numberForm = "a number"
	stringForm = "a string"
	bytesForm  = "base64"
)

// scalarForm describes the JSON of a well-known type, or returns "" for messages whose JSON is not a
// scalar.
func scalarForm(m protoreflect.MessageDescriptor) string {
	switch m.FullName() {
	case "google.protobuf.Timestamp":
		return "an RFC 3339 time such as 2026-01-31T12:00:00Z"
	case "google.protobuf.Duration":
		return "a duration in seconds such as 1.5s"
	case "google.protobuf.FieldMask":
		return "field paths in lowerCamelCase, separated by commas"
	case "google.protobuf.BoolValue":
		return boolForm
	case "google.protobuf.StringValue":
		return stringForm
	case "google.protobuf.BytesValue":
		return bytesForm
	case "google.protobuf.FloatValue", "google.protobuf.DoubleValue":
		return numberForm
	case "google.protobuf.Int32Value":
		return kindForm(protoreflect.Int32Kind)
	case "google.protobuf.Int64Value":
		return kindForm(protoreflect.Int64Kind)
	case "google.protobuf.UInt32Value":
		return kindForm(protoreflect.Uint32Kind)
	case "google.protobuf.UInt64Value":
		return kindForm(protoreflect.Uint64Kind)
	default:
		return ""
	}
}

// isOpaque reports whether a message's JSON is something other than an object of its fields, so that no
// path can name its fields. google.protobuf.Empty is an object without fields, and not opaque.
func isOpaque(m protoreflect.MessageDescriptor) bool {
	switch m.FullName() {
	case "google.protobuf.Any", "google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue":
		return true
	default:
		return scalarForm(m) != ""
	}
}

// takesNull reports whether JSON null is a value of the field, rather than the same as leaving it out.
func takesNull(f protoreflect.FieldDescriptor) bool {
	return f.Message() != nil && f.Message().FullName() == "google.protobuf.Value" ||
		f.Enum() != nil && f.Enum().FullName() == "google.protobuf.NullValue"
}

// takesText reports whether a text can be a value of the field, or one of its elements.
func takesText(f protoreflect.FieldDescriptor) bool {
	return !f.IsMap() && (f.Message() == nil || scalarForm(f.Message()) != "")
}

// wanted describes a value of the field, or an element of it.
func wanted(f protoreflect.FieldDescriptor) string {
	switch f.Kind() {
	case protoreflect.EnumKind:
		return "a name or number of " + string(f.Enum().FullName())
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return wantedMessage(f.Message())
	default:
		return kindForm(f.Kind())
	}
}

func wantedMessage(m protoreflect.MessageDescriptor) string {
	if form := scalarForm(m); form != "" {
		return form
	}

	switch m.FullName() {
	case "google.protobuf.Value":
		return "a JSON value"
	case "google.protobuf.ListValue":
		return "an array"
	default:
		return "an object"
	}
}

func kindForm(kind protoreflect.Kind) string {
	switch kind {
	case protoreflect.BoolKind:
		return boolForm
	case protoreflect.StringKind:
		return stringForm
	case protoreflect.BytesKind:
		return bytesForm
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return "a 32-bit integer"
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return "a 64-bit integer"
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return "an unsigned 32-bit integer"
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return "an unsigned 64-bit integer"
	default:
		return numberForm
	}
}
