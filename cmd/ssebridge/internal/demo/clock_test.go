package demo

import (
	"math"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	demov1 "github.com/ssebridge/ssebridge/gen/ssebridge/demo/v1"
)

func TestClockCountsWithoutHoles(t *testing.T) {
	conn, _ := startBackend(t)
	stream, err := demov1.NewClockServiceClient(conn).Watch(within(t), &demov1.ClockServiceWatchRequest{
		Interval: durationpb.New(time.Nanosecond), // raised to the least one
	})
	if err != nil {
		t.Fatal(err)
	}
	var last time.Time
	for want := uint64(1); want <= 5; want++ {
		tick, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if tick.GetCount() != want {
			t.Fatalf("count %d, want %d", tick.GetCount(), want)
		}
		if at := tick.GetTime().AsTime(); at.Before(last) {
			t.Fatalf("the clock went back from %v to %v", last, at)
		}
		last = tick.GetTime().AsTime()
	}
}

func TestIntervalIsBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		in   *durationpb.Duration
		want time.Duration
	}{
		"unset":     {nil, time.Second},
		"zero":      {durationpb.New(0), time.Second},
		"negative":  {durationpb.New(-time.Hour), time.Second},
		"tiny":      {durationpb.New(1), minInterval},
		"as it is":  {durationpb.New(250 * time.Millisecond), 250 * time.Millisecond},
		"very long": {&durationpb.Duration{Seconds: 315_576_000_000}, maxInterval},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := intervalOf(tc.in)
			if err != nil || got != tc.want {
				t.Fatalf("got %v, %v; want %v", got, err, tc.want)
			}
		})
	}
	_, err := intervalOf(&durationpb.Duration{Seconds: math.MaxInt64})
	wantCode(t, err, codes.InvalidArgument)
}
