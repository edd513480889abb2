package transcode

import (
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Full names of the well-known types that are treated apart here.
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

// specialJSON reports whether messages of this name print as something other than an object of their fields.
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

// shape is what can be known of a message type without a message: which passes over a decoded message may be left out.
type shape struct {
	open     bool // Any or extensions can be reached, so the contents may be of a type not seen here
	required bool // a required field can be reached
	growth   int  // no byte of the wire becomes more than this many bytes of JSON, unless open
}

// Growth is an upper bound made of: the longest text a byte or two of the wire can become besides names (an empty
// Timestamp is 22 bytes, a control character 6), the longest field name with its punctuation, the longest enum name.
const (
	growthBase = 32
	// growthOpen stands for the types inside Any, which are not known when compiling.
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

// fieldText bounds the bytes that a field's own names take in the JSON.
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
