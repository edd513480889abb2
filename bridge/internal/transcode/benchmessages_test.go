package transcode

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// benchMessage is one of the measured messages.
type benchMessage struct {
	name  string
	msg   proto.Message
	wire  []byte
	reach float64 // the minimum speed relative to protojson on dynamicpb
}

// benchMessages returns the messages of bench.proto in the sizes that it names.
func benchMessages(tb testing.TB) []benchMessage {
	tb.Helper()

	all := []benchMessage{
		{name: "tick", msg: benchTick(0), reach: 25},
		{name: "delta", msg: benchDelta(), reach: 25},
		{name: "chat", msg: benchChat(tb), reach: 16},
		{name: "event", msg: benchEvent(tb), reach: 22},
		{name: "batch", msg: benchBatch(), reach: 17},
	}

	for i := range all {
		all[i].wire = marshalWire(tb, all[i].msg)
	}
	return all
}

// noon is the time within the messages.
var noon = time.Date(2026, time.March, 14, 12, 0, 0, 123456789, time.UTC)

func benchTick(i int) *testv1.BenchTick {
	return &testv1.BenchTick{
		Symbol: "EURUSD", Bid: 1.08345 + float64(i%97)/1e5, Ask: 1.08347 + float64(i%97)/1e5, Volume: 1_530_000 + int64(i),
		At: timestamppb.New(noon.Add(time.Duration(i) * time.Millisecond)), Seq: 982_451_653 + uint64(i),
	}
}

func benchDelta() *testv1.BenchDelta {
	return &testv1.BenchDelta{
		Entity: 72057594037927936, Path: "inventory.slot[4].n", Op: testv1.BenchDelta_OP_SET, Value: -64, Version: 40123, More: true,
	}
}

func benchChat(tb testing.TB) *testv1.BenchChat {
	tb.Helper()

	msg := &testv1.BenchChat{
		Id: "01HRZ8VQ6M4T2K9X7C5B3N1D0E", Room: "engineering-oncall",
		Author: &testv1.BenchChat_Author{
			Id: 8_400_213, Name: "Zoë Ångström", AvatarUrl: "https://cdn.example.com/avatars/8400213/64.webp", Moderator: true,
		},
		SentAt: timestamppb.New(noon), Mentions: []string{"ada", "grace", "linus"}, Reactions: map[string]int32{"👍": 12, "🎉": 3, "eyes": 1},
		ReplyTo: new("01HRZ8TJ5P0W"),
	}

	const text = "The deploy of \"billing\" is back at 100 %; the p99 went from 840 ms to 95 ms after we turned the cache on again.\n" +
		"Danke an alle, über den Rest reden wir morgen. 詳細はこちら → https://wiki.example.com/x/3fA9 "

	size := 455 - proto.Size(msg) - 3
	msg.Text = text + strings.Repeat(".", max(0, size-len(text)))

	if n := proto.Size(msg); n != 455 {
		tb.Fatalf("the chat message has %d bytes", n)
	}
	return msg
}

func benchEvent(tb testing.TB) *testv1.BenchEvent {
	tb.Helper()

	var resource *testv1.BenchEvent_Resource
	for level := range 7 {
		resource = &testv1.BenchEvent_Resource{
			Type: "compute/instance", Name: fmt.Sprintf("node-%d.europe-west3.internal", level),
			Labels: map[string]string{"team": "platform", "tier": "gold", "cost-center": "4711"},
			Parent: resource, CreatedAt: timestamppb.New(noon.Add(-time.Hour)), Generation: 17, Usage: []float64{0.25, 0.5, 12.75},
		}
	}

	changes := []*testv1.BenchEvent_Change{
		{Path: "spec.replicas", Before: structpb.NewNumberValue(3), After: structpb.NewNumberValue(5)},
		{Path: "spec.image", Before: structpb.NewStringValue("api:1.4.2"), After: structpb.NewStringValue("api:1.5.0")},
		{Path: "spec.canary", Before: structpb.NewNullValue(), After: structpb.NewBoolValue(true)},
		{Path: "spec.selector", Before: structpb.NewNullValue(), After: structpb.NewStructValue(&structpb.Struct{
			Fields: map[string]*structpb.Value{"app": structpb.NewStringValue("api"), "weight": structpb.NewNumberValue(0.1)},
		})},
	}

	msg := &testv1.BenchEvent{
		Id: "evt-7f3a9c1e", At: timestamppb.New(noon), Took: durationpb.New(1337 * time.Millisecond), Actor: "ada@example.com",
		Resource: resource, Changes: changes, Shards: []int32{0, 3, 17, 128, 1024, -1}, Outcome: &testv1.BenchEvent_Done{Done: benchDelta()},
	}

	msg.Digest = make([]byte, 2048-proto.Size(msg)-3)
	for i := range msg.GetDigest() {
		msg.GetDigest()[i] = byte(7 * i)
	}

	if n := proto.Size(msg); n != 2048 {
		tb.Fatalf("the event has %d bytes", n)
	}
	return msg
}

func benchBatch() *testv1.BenchBatch {
	msg := &testv1.BenchBatch{Source: "feed-1"}
	for i := 0; proto.Size(msg) < 64<<10-60; i++ {
		msg.Ticks = append(msg.Ticks, benchTick(i))
	}
	return msg
}

// TestBenchMessages checks the sizes of the messages, and that the plan prints them in one pass without
// an allocation.
func TestBenchMessages(t *testing.T) {
	sizes := map[string]int{"tick": 49, "delta": 40, "chat": 455, "event": 2048, "batch": 64 << 10}

	for _, m := range benchMessages(t) {
		if want := sizes[m.name]; len(m.wire) > want || len(m.wire) < want-want/100 {
			t.Errorf("%s has %d bytes, not %d", m.name, len(m.wire), want)
		}

		for _, opts := range jsonOptions() {
			plan := mustCompile(t, m.msg, opts)
			if err := sameVerdict(plan, m.msg.ProtoReflect().Descriptor(), m.wire, opts); err != nil {
				t.Error(err)
			}

			dst := make([]byte, 0, 64*len(m.wire))

			allocations := testing.AllocsPerRun(10, func() {
				if _, err := plan.AppendJSON(dst, m.wire); err != nil {
					t.Error(err)
				}
			})

			if stats := plan.Stats(); allocations != 0 && !raceEnabled || stats.Reordered > 0 || len(stats.Library) > 0 {
				t.Errorf("%s, %s: %g allocations, %+v", m.name, opts, allocations, stats)
			}
		}
	}
}
