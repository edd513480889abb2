package demo

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	demov1 "github.com/ssebridge/ssebridge/gen/ssebridge/demo/v1"
)

// Bounds of the intervals that callers may ask for: the lower one keeps a stranger
// from making the backend spin.
const (
	defaultInterval = time.Second
	minInterval     = 10 * time.Millisecond
	maxInterval     = 24 * time.Hour
)

// clockService tells the time.
type clockService struct {
	demov1.UnimplementedClockServiceServer

	stopping <-chan struct{}
}

// Watch sends the time at once and then every interval. A caller that does not read
// misses ticks of the clock, but no count: ticks are counted as they are sent.
func (s *clockService) Watch(req *demov1.ClockServiceWatchRequest, stream grpc.ServerStreamingServer[demov1.Tick]) error {
	interval, err := intervalOf(req.GetInterval())
	if err != nil {
		return err
	}

	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for count := uint64(1); ; count++ {
		if err := stream.Send(&demov1.Tick{Time: timestamppb.Now(), Count: count}); err != nil {
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

// intervalOf reads the interval of a request: a second when unset or not positive,
// else within the bounds.
func intervalOf(d *durationpb.Duration) (time.Duration, error) {
	if d == nil {
		return defaultInterval, nil
	}
	if err := d.CheckValid(); err != nil {
		return 0, status.Error(codes.InvalidArgument, "interval is not a valid duration")
	}
	interval := d.AsDuration()
	if interval <= 0 {
		return defaultInterval, nil
	}
	return min(max(interval, minInterval), maxInterval), nil
}
