package demo

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	demov1 "github.com/ssebridge/ssebridge/gen/ssebridge/demo/v1"
)

func TestMetricsMeasureTheSeriesAskedFor(t *testing.T) {
	conn, _ := startBackend(t)
	for name, tc := range map[string]struct{ ask, want []string }{
		"a default set": {nil, []string{"cpu", "memory", "network"}},
		"in order":      {[]string{"z", "a"}, []string{"z", "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := demov1.NewMetricsServiceClient(conn).Watch(within(t), &demov1.MetricsServiceWatchRequest{
				Interval: durationpb.New(time.Millisecond), Series: tc.ask,
			})
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				got, err := stream.Recv()
				if err != nil {
					t.Fatal(err)
				}
				var series []string
				for _, point := range got.GetPoints() {
					series = append(series, point.GetSeries())
				}
				if !slices.Equal(series, tc.want) {
					t.Fatalf("got %v, want %v", series, tc.want)
				}
			}
		})
	}
}

func TestMetricsRefuseValuesOutOfBounds(t *testing.T) {
	conn, _ := startBackend(t)
	for name, req := range map[string]*demov1.MetricsServiceWatchRequest{
		"too many series": {Series: make([]string, maxSeries+1)},
		"a name too long": {Series: []string{strings.Repeat("x", maxSeriesName+1)}},
		"no name":         {Series: []string{""}},
		"no duration":     {Interval: &durationpb.Duration{Seconds: 1, Nanos: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := demov1.NewMetricsServiceClient(conn).Watch(within(t), req)
			if err != nil {
				t.Fatal(err)
			}
			_, err = stream.Recv()
			wantCode(t, err, codes.InvalidArgument)
		})
	}
}

func TestWalkStaysWithinItsBounds(t *testing.T) {
	w := &walk{home: 50, value: 50}
	for range 100_000 {
		if v := w.step(); v < 2 || v > 98 {
			t.Fatalf("walked to %v", v)
		}
	}
}
