package transcode

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// fieldPath is a path from a message to one of its fields, or to a oneof of a nested message.
type fieldPath struct {
	steps []protoreflect.FieldDescriptor // message fields on the path
}

// follow returns the message that contains the path's end. It enters the last element of a list. It
// returns false if a message on the path is not set.
func (f fieldPath) follow(msg protoreflect.Message) (protoreflect.Message, bool) {
	for _, fd := range f.steps {
		if !msg.Has(fd) {
			return nil, false
		}

		v := msg.Get(fd)
		if fd.IsList() {
			v = v.List().Get(v.List().Len() - 1)
		}

		msg = v.Message()
	}
	return msg, true
}

// resolveSteps resolves all but the last segment of a path and returns the message type of the last
// one.
func resolveSteps(md protoreflect.MessageDescriptor, path string) (fieldPath, protoreflect.MessageDescriptor, string, error) {
	segments := strings.Split(path, ".")
	last := len(segments) - 1

	var f fieldPath

	for _, segment := range segments[:last] {
		fd, err := findField(md, segment, path)
		if err != nil {
			return f, nil, "", err
		}

		switch {
		case fd.IsMap():
			return f, nil, "", fmt.Errorf("%q passes through the map %q; a path cannot", path, segment)
		case fd.Message() == nil:
			return f, nil, "", fmt.Errorf("%q passes through %q, which is %s and has no fields", path, segment, kindText(fd))
		case fd.Message().IsPlaceholder():
			return f, nil, "", fmt.Errorf("%q passes through %q, whose type %s is not known", path, segment, fd.Message().FullName())
		}

		f.steps = append(f.steps, fd)
		md = fd.Message()
	}
	return f, md, segments[last], nil
}

// resolveField finds the field at the end of a path.
func resolveField(md protoreflect.MessageDescriptor, path string) (fieldPath, protoreflect.FieldDescriptor, error) {
	f, md, last, err := resolveSteps(md, path)
	if err != nil {
		return f, nil, err
	}

	fd, err := findField(md, last, path)
	return f, fd, err
}

// resolveOneof finds the oneof at the end of a path. It ignores the synthetic oneofs of proto3
// `optional`, which a .proto file does not show.
func resolveOneof(md protoreflect.MessageDescriptor, path string) (fieldPath, protoreflect.OneofDescriptor, error) {
	f, md, last, err := resolveSteps(md, path)
	if err != nil {
		return f, nil, err
	}

	if od := md.Oneofs().ByName(protoreflect.Name(last)); od != nil && !od.IsSynthetic() {
		return f, od, nil
	}

	var known []string

	for oneofs, i := md.Oneofs(), 0; i < oneofs.Len(); i++ {
		if od := oneofs.Get(i); !od.IsSynthetic() {
			known = append(known, string(od.Name()))
		}
	}

	if fd := md.Fields().ByName(protoreflect.Name(last)); fd != nil {
		member := ""
		if od := fd.ContainingOneof(); od != nil && !od.IsSynthetic() {
			member = fmt.Sprintf("; it is a member of %q", od.Name())
		}
		return f, nil, fmt.Errorf("%q in %s is a field, not a oneof%s", last, md.FullName(), member)
	}
	return f, nil, fmt.Errorf("%s has no oneof %q%s%s", md.FullName(), last, inPath(last, path), nearestText(last, known))
}

// findField finds a field by its proto name, else by its JSON name.
func findField(md protoreflect.MessageDescriptor, name, path string) (protoreflect.FieldDescriptor, error) {
	if name == "" {
		return nil, fmt.Errorf("%q has an empty segment; a path is field names joined by dots", path)
	}

	fields := md.Fields()
	if fd := fields.ByName(protoreflect.Name(name)); fd != nil {
		return fd, nil
	}

	if fd := fields.ByJSONName(name); fd != nil {
		return fd, nil
	}

	known := make([]string, fields.Len())
	for i := range known {
		known[i] = string(fields.Get(i).Name())
	}
	return nil, fmt.Errorf("%s has no field %q%s%s", md.FullName(), name, inPath(name, path), nearestText(name, known))
}

// inPath quotes the whole path if a segment alone would be ambiguous.
func inPath(segment, path string) string {
	if segment == path {
		return ""
	}
	return fmt.Sprintf(" (in %q)", path)
}

// kindText names a field's type for an error.
func kindText(fd protoreflect.FieldDescriptor) string {
	switch {
	case fd.IsMap():
		return "a map"
	case fd.IsList():
		return "a list"
	case fd.Message() != nil:
		return "a message " + string(fd.Message().FullName())
	case fd.Enum() != nil:
		return "an enum"
	default:
		return "a " + fd.Kind().String()
	}
}
