package transcode

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// op is the JSON form of a number.
type op uint8

const (
	noOp op = iota
	boolOp
	int32Op
	sint32Op
	uint32Op
	int64Op
	sint64Op
	uint64Op
	floatOp
	doubleOp
	enumOp
	nullOp
)

// kindOps is the table of op-codes: the wire form of each field kind, its significant bits, and the
// JSON of its zero. A list's zero is [], a map's {}.
var kindOps = [...]struct { //nolint:gochecknoglobals // a table
	form form
	wire protowire.Type
	op   op
	mask uint64
	zero string
}{
	protoreflect.BoolKind:     {varintForm, protowire.VarintType, boolOp, math.MaxUint64, `false`},
	protoreflect.EnumKind:     {varintForm, protowire.VarintType, enumOp, math.MaxUint32, `0`},
	protoreflect.Int32Kind:    {varintForm, protowire.VarintType, int32Op, math.MaxUint32, `0`},
	protoreflect.Sint32Kind:   {varintForm, protowire.VarintType, sint32Op, math.MaxUint32, `0`},
	protoreflect.Uint32Kind:   {varintForm, protowire.VarintType, uint32Op, math.MaxUint32, `0`},
	protoreflect.Int64Kind:    {varintForm, protowire.VarintType, int64Op, math.MaxUint64, `"0"`},
	protoreflect.Sint64Kind:   {varintForm, protowire.VarintType, sint64Op, math.MaxUint64, `"0"`},
	protoreflect.Uint64Kind:   {varintForm, protowire.VarintType, uint64Op, math.MaxUint64, `"0"`},
	protoreflect.Sfixed32Kind: {fixed32Form, protowire.Fixed32Type, int32Op, math.MaxUint32, `0`},
	protoreflect.Fixed32Kind:  {fixed32Form, protowire.Fixed32Type, uint32Op, math.MaxUint32, `0`},
	protoreflect.FloatKind:    {fixed32Form, protowire.Fixed32Type, floatOp, math.MaxUint32, `0`},
	protoreflect.Sfixed64Kind: {fixed64Form, protowire.Fixed64Type, int64Op, math.MaxUint64, `"0"`},
	protoreflect.Fixed64Kind:  {fixed64Form, protowire.Fixed64Type, uint64Op, math.MaxUint64, `"0"`},
	protoreflect.DoubleKind:   {fixed64Form, protowire.Fixed64Type, doubleOp, math.MaxUint64, `0`},
	protoreflect.StringKind:   {stringForm, protowire.BytesType, noOp, 0, `""`},
	protoreflect.BytesKind:    {bytesForm, protowire.BytesType, noOp, 0, `""`},
	protoreflect.MessageKind:  {messageForm, protowire.BytesType, noOp, 0, ``},
	protoreflect.GroupKind:    {groupForm, protowire.StartGroupType, noOp, 0, ``},
}

// appendNumber appends the JSON of a number from its masked wire value.
func appendNumber(dst []byte, v uint64, e *entry) []byte {
	switch e.op {
	case boolOp:
		if v != 0 {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	case int32Op:
		return appendInt(dst, int64(int32(v))) //nolint:gosec // the type's own truncation
	case sint32Op, sint64Op:
		if e.op == sint32Op {
			return appendInt(dst, protowire.DecodeZigZag(v))
		}
		return append(appendInt(append(dst, '"'), protowire.DecodeZigZag(v)), '"')
	case uint32Op:
		return appendUint(dst, v)
	case int64Op:
		return append(appendInt(append(dst, '"'), int64(v)), '"') //nolint:gosec // the type's own representation
	case uint64Op:
		return append(appendUint(append(dst, '"'), v), '"')
	case floatOp:
		return appendFloat32(dst, math.Float32frombits(uint32(v))) //nolint:gosec // masked
	case doubleOp:
		return appendFloat64(dst, math.Float64frombits(v))
	case enumOp:
		return appendEnum(dst, int32(v), e.enum) //nolint:gosec // the type's own truncation
	default:
		return append(dst, "null"...)
	}
}

// appendEnum appends the name of an enum's number. It appends an unnamed number as a number, in closed
// enums too, like protojson.
func appendEnum(dst []byte, n int32, names *enumTable) []byte {
	if text := names.text(n); text != "" {
		return append(dst, text...)
	}
	return appendInt(dst, int64(n))
}
