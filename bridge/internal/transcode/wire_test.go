package transcode

import (
	"math"
	"math/rand/v2"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// wireMaker writes random bytes of a message type: mostly in a serializer's usual form, often in any
// other form that the encoding allows (any order, repeats, splits, both encodings of a list, unknown
// fields, overlong varints), and sometimes invalid.
type wireMaker struct {
	filler
	types []protoreflect.MessageDescriptor // for Any
	wild  bool
}

// message writes a message.
func (w wireMaker) message(md protoreflect.MessageDescriptor, depth int) []byte {
	fields := make([]protoreflect.FieldDescriptor, 0, md.Fields().Len())
	for i := range md.Fields().Len() {
		if fd := md.Fields().Get(i); fd.Cardinality() == protoreflect.Required && w.IntN(20) > 0 || w.IntN(2) == 0 {
			fields = append(fields, fd)
		}
	}

	var wire []byte

	if !w.wild {
		slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int { return int(a.Number()) - int(b.Number()) })

		chosen := map[protoreflect.OneofDescriptor]bool{}
		for _, fd := range fields {
			if od := fd.ContainingOneof(); od == nil || !chosen[od] {
				chosen[od] = true
				wire = w.field(wire, fd, depth)
			}
		}
		return wire
	}

	for range 1 + w.IntN(2) {
		w.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })

		for _, fd := range fields {
			wire = w.field(wire, fd, depth)

			if w.IntN(12) == 0 {
				wire = w.unknown(wire, md)
			}
		}
	}
	return wire
}

// field writes a field, or some elements of one.
func (w wireMaker) field(wire []byte, fd protoreflect.FieldDescriptor, depth int) []byte {
	if fd.Message() != nil && depth <= 0 && w.IntN(8) != 0 {
		return wire
	}

	if fd.Cardinality() != protoreflect.Repeated {
		return w.single(wire, fd, depth)
	}

	info := kindOps[fd.Kind()]
	packable := info.wire != protowire.BytesType && info.wire != protowire.StartGroupType

	if packed := fd.IsPacked() != (w.wild && w.IntN(3) == 0); packable && packed {
		var body []byte
		for range w.IntN(4) {
			body = w.value(body, fd, depth)
		}
		return protowire.AppendBytes(w.tag(wire, fd.Number(), protowire.BytesType), body)
	}

	for range w.IntN(4) {
		wire = w.single(wire, fd, depth)
	}
	return wire
}

func (w wireMaker) single(wire []byte, fd protoreflect.FieldDescriptor, depth int) []byte {
	typ := kindOps[fd.Kind()].wire

	if w.wild && w.IntN(40) == 0 {
		return w.unknownValue(wire, fd.Number(), protowire.Type(w.IntN(6)))
	}
	return w.value(w.tag(wire, fd.Number(), typ), fd, depth)
}

// value writes a value without its tag.
func (w wireMaker) value(wire []byte, fd protoreflect.FieldDescriptor, depth int) []byte {
	switch info := kindOps[fd.Kind()]; info.form {
	case varintForm:
		return w.varint(wire, w.bits(fd))
	case fixed32Form:
		return protowire.AppendFixed32(wire, uint32(w.bits(fd)))
	case fixed64Form:
		return protowire.AppendFixed64(wire, w.bits(fd))
	case stringForm:
		text := w.text()
		if w.wild && w.IntN(40) == 0 {
			text += "\xff"
		}

		if fd.FullName() == "google.protobuf.FieldMask.paths" {
			text = []string{"a", "a_b.c", "_a", "a.b1_c", "a__b", "A", "", "a.", "a_1"}[w.IntN(9)]
		}
		return protowire.AppendString(wire, text)
	case bytesForm:
		return protowire.AppendString(wire, w.text())
	case groupForm:
		wire = append(wire, w.content(fd, depth-1)...)
		return w.tag(wire, fd.Number(), protowire.EndGroupType)
	default:
		return protowire.AppendBytes(wire, w.content(fd, depth-1))
	}
}

// content writes the body of a message field.
func (w wireMaker) content(fd protoreflect.FieldDescriptor, depth int) []byte {
	md := fd.Message()

	switch md.FullName() {
	case anyName:
		return w.packed(depth)
	case timestampName, durationName:
		return w.moment()
	case valueName:
		fd := md.Fields().Get(w.IntN(4))
		if depth > 0 {
			fd = md.Fields().Get(w.IntN(6))
		}
		return w.single(nil, fd, depth)
	}

	if md.IsMapEntry() {
		return w.entry(md, depth)
	}
	return w.message(md, depth)
}

func (w wireMaker) packed(depth int) []byte {
	if w.IntN(6) == 0 {
		return nil
	}

	md := w.types[w.IntN(len(w.types))]
	url := "type.googleapis.com/" + string(md.FullName())

	if w.wild && w.IntN(10) == 0 {
		url = "x/no.such.Type"
	}

	wire := protowire.AppendString(w.tag(nil, 1, protowire.BytesType), url)
	return protowire.AppendBytes(w.tag(wire, 2, protowire.BytesType), w.message(md, depth))
}

func (w wireMaker) moment() []byte {
	var wire []byte

	for range 1 + w.IntN(2)*w.IntN(2) {
		seconds := []int64{0, 1, -1, 951782400, 1709164800, minSeconds, maxSeconds, w.Int64N(4e11) - 1e11, maxDuration, minSeconds - 1}[w.IntN(10)]
		nanos := []int64{0, 0, 1, 1e3, 1e6, 999999999, -1, 1e9, 120_000_000}[w.IntN(9)]
		wire = w.varint(w.tag(wire, 1, protowire.VarintType), uint64(seconds))
		wire = w.varint(w.tag(wire, 2, protowire.VarintType), uint64(nanos))
	}
	return wire
}

// entry writes a map entry: a key and a value or, if wild, any number of both.
func (w wireMaker) entry(md protoreflect.MessageDescriptor, depth int) []byte {
	key, value := md.Fields().ByNumber(1), md.Fields().ByNumber(2)
	if !w.wild || w.IntN(2) == 0 {
		return w.single(w.single(nil, key, depth), value, depth)
	}

	var wire []byte
	for range w.IntN(4) {
		wire = w.single(wire, md.Fields().Get(w.IntN(2)), depth)

		if w.IntN(8) == 0 {
			wire = w.unknownValue(wire, protowire.Number(1+w.IntN(4)), protowire.Type(w.IntN(6)))
		}
	}
	return wire
}

// unknown writes an unknown field or an extension.
func (w wireMaker) unknown(wire []byte, md protoreflect.MessageDescriptor) []byte {
	number := protowire.Number(1 + w.IntN(3000))
	if w.IntN(3) == 0 && md.ExtensionRanges().Len() > 0 {
		number = protowire.Number(100_000_000 + w.IntN(6))
	}
	return w.unknownValue(wire, number, protowire.Type(w.IntN(6)))
}

func (w wireMaker) unknownValue(wire []byte, number protowire.Number, typ protowire.Type) []byte {
	wire = w.tag(wire, number, typ)

	switch typ {
	case protowire.VarintType:
		return w.varint(wire, w.Uint64())
	case protowire.Fixed32Type:
		return protowire.AppendFixed32(wire, w.Uint32())
	case protowire.Fixed64Type:
		return protowire.AppendFixed64(wire, w.Uint64())
	case protowire.BytesType:
		return protowire.AppendString(wire, w.text())
	case protowire.StartGroupType:
		return w.tag(w.varint(w.tag(wire, 1, protowire.VarintType), 1), number, protowire.EndGroupType)
	default:
		return wire // an end tag without a group: an error
	}
}

// tag writes a tag, sometimes one byte longer than necessary.
func (w wireMaker) tag(wire []byte, number protowire.Number, typ protowire.Type) []byte {
	return w.varint(wire, protowire.EncodeTag(number, typ))
}

func (w wireMaker) varint(wire []byte, v uint64) []byte {
	wire = protowire.AppendVarint(wire, v)

	if w.wild && w.IntN(30) == 0 && protowire.SizeVarint(v) < 10 {
		wire[len(wire)-1] |= 0x80
		wire = append(wire, 0)
	}
	return wire
}

// bits returns a random number in wire form.
func (w wireMaker) bits(fd protoreflect.FieldDescriptor) uint64 {
	switch fd.Kind() {
	case protoreflect.DoubleKind:
		return math.Float64bits(w.double())
	case protoreflect.FloatKind:
		return uint64(math.Float32bits(float32(w.double())))
	case protoreflect.EnumKind:
		return []uint64{0, 1, 2, 7, 600, 601, 1 << 30, math.MaxUint64, 3, 1 << 32}[w.IntN(10)]
	case protoreflect.BoolKind:
		return []uint64{0, 1, 1, 2, 1 << 40}[w.IntN(5)]
	default:
		if w.IntN(3) == 0 {
			return w.Uint64() >> w.IntN(64)
		}
		return uint64(w.integer())
	}
}

// double returns numbers of all sizes, with few decimals or many.
func (w wireMaker) double() float64 {
	switch w.IntN(4) {
	case 0:
		return math.Float64frombits(w.Uint64())
	case 1:
		return float64(w.Int64N(2e9)-1e9) / []float64{1, 10, 100, 1000, 1e4, 1e6, 1e7}[w.IntN(7)]
	default:
		return w.float()
	}
}

// mutate returns possibly meaningless bytes: with a bit flipped, the end cut off, a part repeated, or
// another part inserted.
func (w wireMaker) mutate(wire []byte) []byte {
	wire = slices.Clone(wire)
	if len(wire) == 0 {
		return wire
	}

	switch w.IntN(5) {
	case 0:
		wire[w.IntN(len(wire))] ^= 1 << w.IntN(8)
	case 1:
		wire = wire[:w.IntN(len(wire))]
	case 2:
		at := w.IntN(len(wire))
		wire = append(wire, wire[at:]...)
	case 3:
		from, to := w.IntN(len(wire)), w.IntN(len(wire))
		wire[from], wire[to] = wire[to], wire[from]
	default:
		wire = slices.Insert(wire, w.IntN(len(wire)), byte(w.IntN(256)))
	}
	return wire
}

// newWireMaker returns a seeded maker.
func newWireMaker(random *rand.Rand, types []protoreflect.MessageDescriptor) wireMaker {
	return wireMaker{filler: filler{Rand: random}, types: types, wild: random.IntN(2) == 0}
}
