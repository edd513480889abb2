package transcode

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// maxFuzzed keeps inputs small: what a kilobyte does not show, a megabyte does not either.
const maxFuzzed = 4 << 10

// fuzzSameVerdict is the one fuzz target, once for each message type: no bytes may panic, and the plan prints exactly
// what dynamicpb and protojson print, or refuses where they do.
func fuzzSameVerdict(f *testing.F, example proto.Message) {
	f.Helper()

	for seed := range uint64(8) {
		msg := example.ProtoReflect().New()
		filler{Rand: rand.New(rand.NewPCG(seed, 3)), any: mustAny(f, &testv1.Note{Text: "n"})}.message(msg, 2)
		f.Add(marshalWire(f, msg.Interface()))
	}

	f.Add([]byte("\x9a\x03\x05\x0a\x01\x61\x08\x01"))
	f.Add([]byte("\xb2\x01\x02\xb2\x01"))

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

		// The options are taken in turn: which, the bytes say.
		k := len(wire) % len(plans)
		if err := sameVerdict(plans[k], md, wire, all[k]); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzKinds(f *testing.F) { fuzzSameVerdict(f, &testv1.Kinds{}) }

func FuzzFeedEvent(f *testing.F) { fuzzSameVerdict(f, &testv1.FeedEvent{}) }

// FuzzTapped holds what callers of AppendTapped build on, whatever the bytes: data is one line of valid JSON that
// aliases dst, and dst is untouched by an error.
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
