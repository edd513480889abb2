package route

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/ssebridge/ssebridge/internal/nearest"
)

// nearestField returns the name of the message's field that is nearest to a
// mistyped one, in the spelling that is nearer, or "" where none is near. Only
// fields that pass the filter are named.
func nearestField(m protoreflect.MessageDescriptor, name string, pass func(protoreflect.FieldDescriptor) bool) string {
	var names []string

	for i := range m.Fields().Len() {
		if f := m.Fields().Get(i); pass(f) {
			names = append(names, string(f.Name()), f.JSONName())
		}
	}

	return nearest.Name(name, names)
}

// nearestValue returns the name of the enum's value that is nearest to a
// mistyped one, or "".
func nearestValue(e protoreflect.EnumDescriptor, name string) string {
	names := make([]string, 0, e.Values().Len())
	for i := range e.Values().Len() {
		names = append(names, string(e.Values().Get(i).Name()))
	}

	return nearest.Name(name, names)
}

// didYouMean returns the end of a message that suggests a name, or "".
func didYouMean(name string) string {
	if name == "" {
		return ""
	}

	return "; did you mean " + shown(name) + "?"
}
