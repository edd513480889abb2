package transcode

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// maxFuzzed keeps inputs small: a kilobyte shows the same errors as a megabyte.
const maxFuzzed = 4 << 10

// crashers are bytes on which libraries have crashed, and an empty message twice.
var crashers = []string{"\x9a\x03\x05\x0a\x01\x61\x08\x01", "\xf2\x03\x02\x78\x78\xfa\x03\x00", "\xb2\x01\x02\xb2\x01"}

// fuzzSameVerdict is the body of the fuzzers for one message type: no bytes cause a panic, and each
// pass of the plan prints and refuses the same as dynamicpb and protojson.
func fuzzSameVerdict(f *testing.F, example proto.Message) {
	f.Helper()

	for seed := range uint64(8) {
		msg := example.ProtoReflect().New()
		filler{Rand: rand.New(rand.NewPCG(seed, 3)), any: mustAny(f, &testv1.Note{Text: "n"})}.message(msg, 2)
		f.Add(marshalWire(f, msg.Interface()))
	}

	for _, wire := range crashers {
		f.Add([]byte(wire))
	}

	md := example.ProtoReflect().Descriptor()
	all := jsonOptions()

	var plans []*Plan
	for _, opts := range all {
		plans = append(plans, mustCompile(f, example, opts))
	}

	f.Fuzz(func(t *testing.T, wire []byte) {
		if len(wire) > maxFuzzed {
			return
		}

		// The bytes select the options.
		k := len(wire) % len(plans)
		if err := sameVerdict(plans[k], md, wire, all[k]); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzKinds(f *testing.F) { fuzzSameVerdict(f, &testv1.Kinds{}) }

func FuzzFeedEvent(f *testing.F) { fuzzSameVerdict(f, &testv1.FeedEvent{}) }

func FuzzBenchEvent(f *testing.F) { fuzzSameVerdict(f, &testv1.BenchEvent{}) }

// fuzzedSchemas is the number of random schemas for FuzzSchemas.
const fuzzedSchemas = 64

// FuzzSchemas is fuzzSameVerdict on random schemas: proto2, proto3 and editions, groups, required
// fields, extensions, and taps. The first byte selects the schema.
func FuzzSchemas(f *testing.F) {
	type schema struct {
		md           protoreflect.MessageDescriptor
		opts         Options
		plan, tapped *Plan
	}

	var schemas []schema

	for k := range uint64(fuzzedSchemas) {
		random := rand.New(rand.NewPCG(k, 11))
		types, resolver := randomSchema(f, random)
		s := schema{md: types[0], opts: jsonOptions()[k%8]}
		s.opts.Resolver = resolver

		var err error
		if s.plan, err = Compile(s.md, s.opts); err != nil {
			f.Fatal(err)
		}

		if s.tapped, err = Compile(s.md, randomTaps(random, s.md, s.opts)); err != nil {
			f.Fatal(err)
		}

		schemas = append(schemas, s)

		for range 2 {
			f.Add(append([]byte{byte(k)}, newWireMaker(random, types).message(s.md, 2)...))
		}
	}

	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) == 0 || len(input) > maxFuzzed {
			return
		}

		s, wire := schemas[input[0]%fuzzedSchemas], input[1:]

		if err := sameVerdict(s.plan, s.md, wire, s.opts); err != nil {
			t.Fatal(err)
		}

		if err := sameTaps(s.tapped, wire); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzMade uses the bytes as the seed of a schema and of a message of it, so that most fuzzed messages
// are nearly valid.
func FuzzMade(f *testing.F) {
	f.Add(uint64(1), uint64(2), uint16(3))

	f.Fuzz(func(t *testing.T, schema, message uint64, change uint16) {
		random := rand.New(rand.NewPCG(schema, 0))
		types, resolver := randomSchema(t, random)
		opts := jsonOptions()[schema%8]
		opts.Resolver = resolver

		plan, err := Compile(types[0], opts)
		if err != nil {
			t.Fatal(err)
		}

		wire := newWireMaker(rand.New(rand.NewPCG(message, 1)), types).message(types[0], 3)
		if at := int(change >> 3); at < len(wire) {
			wire[at] ^= 1 << (change & 7)
		}

		if err := sameVerdict(plan, types[0], wire, opts); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzTapped checks the promises of AppendTapped on arbitrary bytes: data is one line of valid JSON
// that aliases dst, and an error leaves dst unchanged.
func FuzzTapped(f *testing.F) {
	plan := mustCompile(f, &testv1.FeedEvent{}, Options{
		MaxBytes: 1 << 12, Taps: Taps{ID: "notes.text", Name: NameTap{Oneof: "body"}, Data: DataTap{Oneof: "body"}},
	})

	f.Add(marshalWire(f, sampleEvent(f)))
	f.Add([]byte{0x32, 0x00})

	f.Fuzz(func(t *testing.T, wire []byte) {
		var out Tapped

		dst, err := plan.AppendTapped([]byte("head"), wire, &out)

		switch {
		case err != nil:
			if string(dst) != "head" || out.Data != nil {
				t.Fatalf("dst %q, data %q after %v", dst, out.Data, err)
			}
		case string(dst) != "head"+string(out.Data) || !json.Valid(out.Data) || bytes.ContainsAny(out.Data, "\r\n"):
			t.Fatalf("dst %q, data %q", dst, out.Data)
		case out.HasID != (len(out.ID) > 0) || out.HasName != (len(out.Name) > 0):
			t.Fatalf("id %q %t, name %q %t", out.ID, out.HasID, out.Name, out.HasName)
		}
	})
}

// FuzzNumbers compares the formatting of numbers with strconv and encoding/json: every bit pattern has
// one correct text.
func FuzzNumbers(f *testing.F) {
	for _, bits := range []uint64{0, 1, 1 << 63, 0x3fb999999999999a, 0x7ff0000000000000, 0x7ff8000000000001, 0x444b1ae4d6e2ef50} {
		f.Add(binary.LittleEndian.AppendUint64(nil, bits))
	}

	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 8 {
			return
		}

		if err := sameNumbers(binary.LittleEndian.Uint64(b)); err != nil {
			t.Fatal(err)
		}
	})
}
