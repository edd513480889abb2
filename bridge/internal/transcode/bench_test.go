package transcode

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/timestamppb"

	demov1 "github.com/ssebridge/ssebridge/gen/ssebridge/demo/v1"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// BenchmarkAppend compares the plan with dynamicpb and protojson used plainly, which is what it has to beat.
func BenchmarkAppend(b *testing.B) {
	batch := &testv1.FeedEvent{}
	for range 1000 {
		batch.Notes = append(batch.Notes, &testv1.Note{Text: "the quick brown fox jumps over the lazy dog"})
	}

	for name, msg := range map[string]proto.Message{
		"tick":  &demov1.Tick{Time: &timestamppb.Timestamp{Seconds: 1_700_000_000, Nanos: 1e6}, Count: 12},
		"event": sampleEvent(b),
		"batch": batch,
	} {
		wire := marshalWire(b, msg)
		opts := Options{Resolver: protoregistry.GlobalTypes}
		plan := mustCompile(b, msg, opts)

		b.Run(name+"/plan", func(b *testing.B) {
			var dst []byte

			b.SetBytes(int64(len(wire)))
			b.ReportAllocs()

			for b.Loop() {
				var err error
				if dst, err = plan.AppendJSON(dst[:0], wire); err != nil {
					b.Fatal(err)
				}
			}
		})

		b.Run(name+"/protojson", func(b *testing.B) {
			b.SetBytes(int64(len(wire)))
			b.ReportAllocs()

			for b.Loop() {
				if _, err := reference(msg.ProtoReflect().Descriptor(), wire, opts); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
