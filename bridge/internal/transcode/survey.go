package transcode

import (
	"encoding/base64"
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxAnyNesting bounds Any inside Any. The library decodes each level separately and restarts its depth
// count, so with the depth limit alone a message of 4 MiB could be copied a hundred thousand times on
// an unbounded stack.
const maxAnyNesting = 100

// survey walks a decoded message before protojson prints it, since protojson cannot be stopped: two
// wire bytes can become a page of defaults, and Any nests without a limit. It counts a lower bound of
// the JSON's size and stops at messages that would be refused anyway.
type survey struct {
	plan *Plan
	size int // lower bound of the JSON bytes so far
	anys int // Any messages around the current one
}

// survey returns a survey for a message of wireLen bytes, or nil if no limit can be exceeded.
func (p *Plan) survey(wireLen int) *survey {
	if p.shape.open || p.maxBytes > 0 && wireLen > p.maxBytes/p.shape.growth {
		return &survey{plan: p}
	}
	return nil
}

// add counts n bytes of JSON.
func (s *survey) add(n int) error {
	s.size += n
	if s.plan.maxBytes > 0 && s.size > s.plan.maxBytes {
		return s.plan.tooLarge()
	}
	return nil
}

// message counts a message at the given depth; the outermost message is at depth 1.
func (s *survey) message(msg protoreflect.Message, depth int) error {
	if depth > s.plan.maxDepth {
		return s.plan.tooDeep()
	}

	md := msg.Descriptor()

	switch md.FullName() {
	case anyName:
		return s.any(msg, depth)
	case timestampName, durationName, fieldMaskName:
		return s.add(len(`""`))
	}

	named := !specialJSON(md.FullName())

	if err := s.add(len("{}")); err != nil {
		return err
	}

	if named && s.plan.marshal.EmitDefaultValues {
		if err := s.defaults(msg); err != nil {
			return err
		}
	}

	var err error

	msg.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if named {
			if err = s.add(s.nameLen(fd)); err != nil {
				return false
			}
		}

		err = s.value(fd, v, depth)
		return err == nil
	})
	return err
}

// defaults counts the unset fields that are printed with their defaults.
func (s *survey) defaults(msg protoreflect.Message) error {
	size := 0

	for fields, i := msg.Descriptor().Fields(), 0; i < fields.Len(); i++ {
		if fd := fields.Get(i); !fd.HasPresence() && !msg.Has(fd) {
			size += s.nameLen(fd) + 1
		}
	}
	return s.add(size)
}

// nameLen returns the length of a field's name in JSON, with quotes and colon.
func (s *survey) nameLen(fd protoreflect.FieldDescriptor) int {
	if s.plan.marshal.UseProtoNames {
		return len(fd.TextName()) + len(`"":`)
	}
	return len(fd.JSONName()) + len(`"":`)
}

// value counts the value of a field.
func (s *survey) value(fd protoreflect.FieldDescriptor, v protoreflect.Value, depth int) error {
	switch {
	case fd.IsList():
		return s.list(fd, v.List(), depth)
	case fd.IsMap():
		return s.entries(fd, v.Map(), depth)
	default:
		return s.single(fd, v, depth)
	}
}

func (s *survey) list(fd protoreflect.FieldDescriptor, list protoreflect.List, depth int) error {
	if err := s.add(len("[]")); err != nil {
		return err
	}

	for i := range list.Len() {
		if err := s.single(fd, list.Get(i), depth); err != nil {
			return err
		}
	}
	return s.add(max(0, list.Len()-1))
}

func (s *survey) entries(fd protoreflect.FieldDescriptor, entries protoreflect.Map, depth int) error {
	err := s.add(len("{}") + max(0, entries.Len()-1))
	if err != nil {
		return err
	}

	entries.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		size := 1 // at least one digit
		if fd.MapKey().Kind() == protoreflect.StringKind {
			size = len(k.String())
		}

		if err = s.add(size + len(`"":`)); err != nil {
			return false
		}

		// Decoding counts a map as a level of nesting.
		err = s.single(fd.MapValue(), v, depth+1)
		return err == nil
	})
	return err
}

// single counts one value that is neither list nor map.
func (s *survey) single(fd protoreflect.FieldDescriptor, v protoreflect.Value, depth int) error {
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return s.message(v.Message(), depth+1)
	case protoreflect.StringKind:
		return s.add(len(v.String()) + len(`""`))
	case protoreflect.BytesKind:
		return s.add(base64.StdEncoding.EncodedLen(len(v.Bytes())) + len(`""`))
	case protoreflect.EnumKind:
		if value := fd.Enum().Values().ByNumber(v.Enum()); value != nil && !s.plan.marshal.UseEnumNumbers &&
			fd.Enum().FullName() != nullValueName {
			return s.add(len(value.Name()) + len(`""`))
		}
		return s.add(1)
	default:
		return s.add(1)
	}
}

// any resolves and decodes the contents of an Any, exactly as printing will, and counts them.
func (s *survey) any(msg protoreflect.Message, depth int) error {
	fields := msg.Descriptor().Fields()
	url := msg.Get(fields.ByNumber(1)).String()
	body := msg.Get(fields.ByNumber(2)).Bytes()

	if url == "" {
		if len(body) > 0 {
			return s.plan.failure(KindUnrepresentable, "a google.protobuf.Any has a value but no type")
		}
		return s.add(len("{}"))
	}

	if s.anys == maxAnyNesting {
		return s.plan.failure(KindTooDeep, fmt.Sprintf("google.protobuf.Any nested more than %d deep", maxAnyNesting))
	}

	typ, err := s.plan.types.FindMessageByURL(url)
	if err != nil {
		return s.plan.unresolvable(url)
	}

	if depth >= s.plan.maxDepth {
		return s.plan.tooDeep()
	}

	decode := s.plan.decode
	decode.RecursionLimit = s.plan.maxDepth - depth
	content := typ.New()

	if err = decode.Unmarshal(body, content.Interface()); err != nil {
		return s.plan.undecodable(err)
	}

	if err = s.add(len(url) + len(`"@type":""`)); err != nil {
		return err
	}

	s.anys++
	err = s.message(content, depth+1)
	s.anys--
	return err
}

// typeText returns the name in a type URL after a space. It returns "" if the text is not a valid name,
// since errors must not contain bytes of the message.
func typeText(url string) string {
	name := protoreflect.FullName(url[strings.LastIndexByte(url, '/')+1:])
	if len(name) > 256 || !name.IsValid() {
		return ""
	}
	return " (" + string(name) + ")"
}
