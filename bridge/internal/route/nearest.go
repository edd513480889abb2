package route

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/ssebridge/ssebridge/internal/nearest"
)

// nearestField returns the message's field nearest to a mistyped name, as its JSON name or proto name,
// whichever is nearer. It returns "" if none is near, and considers only fields that pass the filter.
func nearestField(m protoreflect.MessageDescriptor, name string, pass func(protoreflect.FieldDescriptor) bool) string {
	var names []string

	for i := range m.Fields().Len() {
		if f := m.Fields().Get(i); pass(f) {
			names = append(names, string(f.Name()), f.JSONName())
		}
	}
	return nearest.Name(name, names)
}

// nearestValue returns the enum value nearest to a mistyped name, or "".
func nearestValue(e protoreflect.EnumDescriptor, name string) string {
	names := make([]string, 0, e.Values().Len())
	for i := range e.Values().Len() {
		names = append(names, string(e.Values().Get(i).Name()))
	}
	return nearest.Name(name, names)
}

// didYouMean returns the end of an error that suggests a name, or "".
func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return "; did you mean " + shown(name) + "?"
}
