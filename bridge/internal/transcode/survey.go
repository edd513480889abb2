package transcode

import (
	"encoding/base64"
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxAnyNesting bounds Any inside Any. The library decodes each level anew and counts its depth from zero, so the depth
// limit alone would allow a message of 4 MiB to be copied a hundred thousand times on a stack without end.
const maxAnyNesting = 100

// survey walks a decoded message before it is printed, because printing cannot be stopped half-way: two bytes on the
// wire can become a page of defaults, and Any nests without a limit. It counts a lower bound of the JSON's size and
// stops at what would be refused anyway.
type survey struct {
	plan *Plan
	size int // JSON bytes counted so far; never more than will be printed
	anys int // Any messages around the current one
}

// survey gives the walk for a message that took wireLen bytes, or nil where nothing about it can go wrong.
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

// message counts a message at the given depth; the outermost one is at depth 1.
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

// defaults counts the fields that are printed although they are not set.
func (s *survey) defaults(msg protoreflect.Message) error {
	size := 0

	for fields, i := msg.Descriptor().Fields(), 0; i < fields.Len(); i++ {
		if fd := fields.Get(i); !fd.HasPresence() && !msg.Has(fd) {
			size += s.nameLen(fd) + 1
		}
	}

	return s.add(size)
}

// nameLen is a field's name as printed, with quotes and colon.
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
		size := 1 // a number has at least one digit
		if fd.MapKey().Kind() == protoreflect.StringKind {
			size = len(k.String())
		}

		if err = s.add(size + len(`"":`)); err != nil {
			return false
		}

		// A map counts as a level of its own when it is decoded.
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

// any resolves and decodes what an Any holds, exactly as printing will, and counts that.
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

// typeText is the name in a type URL, with a blank before it, if it is a name at all; else nothing, for then it is just
// bytes of the message.
func typeText(url string) string {
	name := protoreflect.FullName(url[strings.LastIndexByte(url, '/')+1:])
	if len(name) > 256 || !name.IsValid() {
		return ""
	}

	return " (" + string(name) + ")"
}
