package transcode

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Kind is the reason why a message has no JSON. It is a metric's label, and the bridge asks for a newer
// schema after the kinds that a schema may cure.
type Kind uint8

// The kinds of failure.
const (
	// KindUndecodable is a message whose bytes do not fit its type: broken tags, truncated fields,
	// invalid UTF-8, or a missing required field.
	KindUndecodable Kind = iota + 1
	// KindUnresolvable is a google.protobuf.Any with a type that the resolver does not know.
	KindUnresolvable
	// KindUnrepresentable is a value that proto3 JSON cannot express, such as a Timestamp out of range.
	KindUnrepresentable
	// KindTooDeep is nesting beyond Options.MaxDepth.
	KindTooDeep
	// KindTooLarge is JSON beyond Options.MaxBytes, or a message with too many parts: more than about a
	// million to sort or to give to the library, or split messages nested such that their bytes would
	// move more than 16 times.
	KindTooLarge
	// KindPanic is a recovered panic of the protobuf library.
	KindPanic
)

// String returns the kind as a metric's label.
func (k Kind) String() string {
	switch k {
	case KindUndecodable:
		return "undecodable"
	case KindUnresolvable:
		return "unresolvable"
	case KindUnrepresentable:
		return "unrepresentable"
	case KindTooDeep:
		return "too_deep"
	case KindTooLarge:
		return "too_large"
	case KindPanic:
		return "panic"
	default:
		return "unknown"
	}
}

// Error is the reason why one message could not be transcoded. It wraps no error: those of the protobuf
// library quote the message, and bytes of a message must not reach the log.
type Error struct {
	// Kind is the reason for callers to branch on.
	Kind Kind
	// Message is the type of the message.
	Message protoreflect.FullName
	// Detail describes the reason. It may name types and fields, never values.
	Detail string
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("transcode %s: %s", e.Message, e.Kind)
	}
	return fmt.Sprintf("transcode %s: %s: %s", e.Message, e.Kind, e.Detail)
}

// TapError is a tap that does not fit the message type. [Compile] returns it.
type TapError struct {
	// Tap is the tap: "id", "name" or "data".
	Tap string
	// Message names the field and, if one is near, a known name.
	Message string
}

func (e *TapError) Error() string { return e.Tap + ": " + e.Message }
