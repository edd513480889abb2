package transcode

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// libraryJSON is AppendJSON through dynamicpb and protojson.
func (p *Plan) libraryJSON(dst, wire []byte) ([]byte, error) {
	msg, err := p.decodeMessage(wire)
	if err != nil {
		return dst, err
	}

	out, err := p.appendMessage(dst, msg, len(wire))
	if err != nil {
		return dst, err
	}
	return out, nil
}

// libraryTapped is AppendTapped through dynamicpb and protojson.
func (p *Plan) libraryTapped(dst, wire []byte, out *Tapped) ([]byte, error) {
	msg, err := p.decodeMessage(wire)
	if err != nil {
		return dst, err
	}

	if err = p.readTaps(msg, out); err != nil {
		return dst, err
	}

	var printed []byte
	if p.data == nil {
		printed, err = p.appendMessage(dst, msg, len(wire))
	} else {
		printed, err = p.appendPart(dst, msg, len(wire))
	}

	if err != nil {
		return dst, err
	}

	out.Data = slices.Clip(printed[len(dst):])
	return printed, nil
}

// libraryTaps is ReadTaps through dynamicpb.
func (p *Plan) libraryTaps(wire []byte, out *Tapped) error {
	out.reset()

	msg, err := p.decodeMessage(wire)
	if err != nil {
		return err
	}
	return p.readTaps(msg, out)
}

// decodeMessage decodes wire into a new dynamic message.
func (p *Plan) decodeMessage(wire []byte) (msg protoreflect.Message, err error) {
	defer p.guard(&err)

	msg = p.typ.New()
	if err = p.decode.Unmarshal(wire, msg.Interface()); err != nil {
		return nil, p.undecodable(err)
	}

	if p.shape.required || p.shape.open {
		if proto.CheckInitialized(msg.Interface()) != nil {
			return nil, p.failure(KindUndecodable, "a required field is missing")
		}
	}
	return msg, nil
}

// undecodable replaces an error of proto.Unmarshal, whose text quotes the message. The library exports
// no error value for its depth limit, so undecodable searches the text.
func (p *Plan) undecodable(err error) *Error {
	if strings.Contains(err.Error(), "recursion depth") {
		return p.tooDeep()
	}
	return p.failure(KindUndecodable, "the bytes are not a message of this type")
}

func (p *Plan) tooDeep() *Error {
	return p.failure(KindTooDeep, fmt.Sprintf("nested more than %d messages deep", p.maxDepth))
}

func (p *Plan) tooLarge() *Error {
	return p.failure(KindTooLarge, fmt.Sprintf("the JSON is larger than %d bytes", p.maxBytes))
}

// guard turns a panic into an error. dynamicpb panics on bytes that a backend can send (a map entry
// whose key has the wrong type), and one message must not end the process. The error omits the panic's
// value, which may quote the message.
func (p *Plan) guard(err *error) {
	if recover() != nil {
		*err = p.failure(KindPanic, "the protobuf library panicked on the message")
	}
}

// appendMessage appends the JSON of a message of wireLen bytes. The first result is invalid after an
// error.
func (p *Plan) appendMessage(dst []byte, msg protoreflect.Message, wireLen int) (out []byte, err error) {
	defer p.guard(&err)

	if s := p.survey(wireLen); s != nil {
		if err = s.message(msg, 1); err != nil {
			return dst, err
		}
	}

	printed, err := p.appendProto(dst, msg.Interface())
	if err != nil {
		return dst, err
	}
	return p.seal(printed, len(dst))
}

// appendProto prints with protojson, whose spacing is random, and translates its errors.
func (p *Plan) appendProto(dst []byte, msg proto.Message) ([]byte, error) {
	out, err := p.marshal.MarshalAppend(dst, msg)
	if err != nil {
		return dst, p.unrepresentable(err)
	}
	return out, nil
}

// unrepresentable names the type that protojson could not express, without the value that its error
// quotes.
func (p *Plan) unrepresentable(err error) *Error {
	text := err.Error()

	for _, name := range []protoreflect.FullName{timestampName, durationName, fieldMaskName, valueName, anyName} {
		if strings.Contains(text, string(name)) {
			return p.failure(KindUnrepresentable, "a "+string(name)+" has no JSON form")
		}
	}
	return p.failure(KindUnrepresentable, "a value has no JSON form")
}

// seal compacts the JSON after start and checks its size.
func (p *Plan) seal(dst []byte, start int) ([]byte, error) {
	dst = compact(dst, start)
	if p.maxBytes > 0 && len(dst)-start > p.maxBytes {
		return dst[:start], p.tooLarge()
	}
	return dst, nil
}
