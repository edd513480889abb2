package transcode

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Kind says why a message has no JSON. The bridge counts by it, and asks for a newer schema on what one may cure.
type Kind uint8

// The kinds of failure.
const (
	// KindUndecodable is a message whose bytes are not of its type: broken tags, cut fields, invalid UTF-8, a
	// required field that is missing.
	KindUndecodable Kind = iota + 1
	// KindUnresolvable is a google.protobuf.Any whose type the resolver does not know.
	KindUnresolvable
	// KindUnrepresentable is a value that proto3 JSON cannot express, such as a Timestamp out of its range.
	KindUnrepresentable
	// KindTooDeep is nesting beyond Options.MaxDepth.
	KindTooDeep
	// KindTooLarge is JSON beyond Options.MaxBytes, or a message of more parts than are put in order or given to the
	// library: a million, or so many parts of split messages inside each other that they would
	// be moved more than 16 times.
	KindTooLarge
	// KindPanic is a panic of the protobuf library, caught.
	KindPanic
)

// String is the kind as a metric's label has it.
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

// Error is why one message could not be transcoded. It wraps nothing: the errors of the protobuf library quote the
// message, and a message's bytes belong in no log.
type Error struct {
	// Kind is what callers branch on.
	Kind Kind
	// Message is the type that was being transcoded.
	Message protoreflect.FullName
	// Detail says more in words of this package; it may name types and fields, never values.
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
	// Tap is which one: "id", "name" or "data".
	Tap string
	// Message names the field and, where there is one, the nearest known one.
	Message string
}

func (e *TapError) Error() string { return e.Tap + ": " + e.Message }
