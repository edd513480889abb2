package demo

import (
	"math"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	demov1 "github.com/ssebridge/ssebridge/gen/ssebridge/demo/v1"
)

// Bounds of what one caller may have measured.
const (
	maxSeries     = 16
	maxSeriesName = 64
)

// metricsService measures things that do not exist.
type metricsService struct {
	demov1.UnimplementedMetricsServiceServer

	stopping <-chan struct{}
}

// Watch sends a measurement at once and then every interval.
func (s *metricsService) Watch(
	req *demov1.MetricsServiceWatchRequest, stream grpc.ServerStreamingServer[demov1.Measurement],
) error {
	interval, err := intervalOf(req.GetInterval())
	if err != nil {
		return err
	}
	walks, err := walksOf(req.GetSeries())
	if err != nil {
		return err
	}

	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := stream.Send(measure(walks)); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-s.stopping:
			return errStopping
		}
	}
}

// walksOf starts a walk for every series asked for.
func walksOf(series []string) ([]*walk, error) {
	if len(series) == 0 {
		series = []string{"cpu", "memory", "network"}
	}
	if len(series) > maxSeries {
		return nil, status.Errorf(codes.InvalidArgument, "series: %d asked for, at most %d are measured at once", len(series), maxSeries)
	}
	walks := make([]*walk, len(series))
	for i, name := range series {
		if name == "" || len(name) > maxSeriesName {
			return nil, status.Errorf(codes.InvalidArgument, "series[%d]: a name has 1 to %d bytes", i, maxSeriesName)
		}
		// Start in bands, so that the lines of a chart lie apart.
		walks[i] = &walk{series: name, home: 25 + 50*float64(i%3)/2, value: 25 + 50*float64(i%3)/2}
	}
	return walks, nil
}

// measure takes the next step of every walk.
func measure(walks []*walk) *demov1.Measurement {
	points := make([]*demov1.Point, len(walks))
	for i, w := range walks {
		points[i] = &demov1.Point{Series: w.series, Value: w.step()}
	}
	return &demov1.Measurement{Time: timestamppb.Now(), Points: points}
}

// walk is a random walk between 0 and 100 that is drawn home, with some momentum,
// which looks more like a machine's load than plain noise does.
type walk struct {
	series       string
	home         float64
	value, speed float64
}

// step moves the walk on and tells where it is, rounded to hundredths.
func (w *walk) step() float64 {
	w.speed = 0.82*w.speed + 1.1*rand.NormFloat64() + 0.02*(w.home-w.value)
	w.value += w.speed
	if w.value < 2 || w.value > 98 {
		w.value = min(max(w.value, 2), 98)
		w.speed = 0
	}
	return math.Round(w.value*100) / 100
}
