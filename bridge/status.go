package bridge

import (
	"errors"
	"slices"

	"google.golang.org/grpc/codes"

	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/upstream"
)

// judge says what an RPC's error means to its topic.
func (e *endpoint) judge(err error) topic.Verdict {
	if errors.Is(err, upstream.ErrMoved) || errors.Is(err, upstream.ErrIdle) {
		return topic.Again
	}
	if errors.Is(err, upstream.ErrMessageTooLarge) || errors.Is(err, upstream.ErrHeadersTooLarge) {
		return topic.Fatal // each RPC would meet it again
	}
	code := failure.StatusOf(err).Code()
	if slices.Contains(e.route.Reconnect.Codes, failure.CodeName(code)) {
		return topic.Hold
	}
	switch code {
	case codes.Unavailable, codes.ResourceExhausted, codes.Aborted, codes.DeadlineExceeded, codes.Canceled:
		return topic.Retry
	case codes.Internal, codes.Unknown, codes.DataLoss:
		return topic.Flaky
	default:
		return topic.Fatal
	}
}
