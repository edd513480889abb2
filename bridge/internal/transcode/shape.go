package transcode

import (
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The full names of the well-known types with a JSON form of their own.
const (
	anyName       protoreflect.FullName = "google.protobuf.Any"
	timestampName protoreflect.FullName = "google.protobuf.Timestamp"
	durationName  protoreflect.FullName = "google.protobuf.Duration"
	fieldMaskName protoreflect.FullName = "google.protobuf.FieldMask"
	structName    protoreflect.FullName = "google.protobuf.Struct"
	valueName     protoreflect.FullName = "google.protobuf.Value"
	listValueName protoreflect.FullName = "google.protobuf.ListValue"
	nullValueName protoreflect.FullName = "google.protobuf.NullValue"
)

// specialJSON reports whether the JSON of messages with this name is not an object of their fields.
func specialJSON(name protoreflect.FullName) bool {
	switch name {
	case anyName, timestampName, durationName, fieldMaskName, structName, valueName, listValueName,
		"google.protobuf.BoolValue", "google.protobuf.StringValue", "google.protobuf.BytesValue",
		"google.protobuf.Int32Value", "google.protobuf.UInt32Value", "google.protobuf.FloatValue",
		"google.protobuf.Int64Value", "google.protobuf.UInt64Value", "google.protobuf.DoubleValue":
		return true
	}
	return false
}

// shape has the facts about a message type that allow skipping passes over a decoded message.
type shape struct {
	open     bool // reaches Any or extensions, whose types are unknown here
	required bool // reaches a required field
	growth   int  // maximum JSON bytes per wire byte, unless open
}

// shape.growth is an upper bound: the longest text of one or two wire bytes apart from names (an empty
// Timestamp is 22 bytes, a control character 6), plus the longest field name with its punctuation, plus
// the longest enum name.
const (
	growthBase = 32
	// growthOpen covers the types inside Any, which are unknown at compile time.
	growthOpen = 1024
)

func shapeOf(root protoreflect.MessageDescriptor, opts *Options) shape {
	var s shape

	longest, defaults := 0, 0
	seen := map[protoreflect.FullName]bool{root.FullName(): true}

	for queue := []protoreflect.MessageDescriptor{root}; len(queue) > 0; {
		md := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		s.open = s.open || md.FullName() == anyName || md.ExtensionRanges().Len() > 0
		s.required = s.required || md.RequiredNumbers().Len() > 0

		sum := 0

		for fields, i := md.Fields(), 0; i < fields.Len(); i++ {
			fd := fields.Get(i)
			size := fieldText(fd)
			longest = max(longest, size)
			sum += size

			if next := fd.Message(); next != nil && !seen[next.FullName()] {
				seen[next.FullName()] = true
				queue = append(queue, next)
			}
		}

		if opts.EmitDefaults {
			defaults = max(defaults, sum)
		}
	}

	s.growth = growthBase + longest + defaults
	if s.open {
		s.growth = max(s.growth, growthOpen)
	}
	return s
}

// fieldText returns an upper bound of the JSON bytes for a field's names.
func fieldText(fd protoreflect.FieldDescriptor) int {
	size := max(len(fd.JSONName()), len(fd.TextName())) + len(`"":"",`)

	if ed := fd.Enum(); ed != nil {
		longest := 0
		for values, i := ed.Values(), 0; i < values.Len(); i++ {
			longest = max(longest, len(values.Get(i).Name()))
		}

		size += longest
	}
	return size
}
