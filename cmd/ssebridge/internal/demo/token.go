package demo

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	demov1 "github.com/ssebridge/ssebridge/gen/ssebridge/demo/v1"
)

// Bounds of one answer.
const (
	maxTokens     = 400
	maxPrompt     = 4 << 10
	defaultDelay  = 60 * time.Millisecond
	maxTokenDelay = 10 * time.Second
)

// tokenService answers prompts, without understanding them.
type tokenService struct {
	demov1.UnimplementedTokenServiceServer

	stopping <-chan struct{}
}

// Generate sends the answer to a prompt piece by piece; equal prompts have equal answers.
func (s *tokenService) Generate(req *demov1.GenerateRequest, stream grpc.ServerStreamingServer[demov1.Token]) error {
	if req.GetPrompt() == "" || len(req.GetPrompt()) > maxPrompt {
		return status.Errorf(codes.InvalidArgument, "prompt: must have 1 to %d bytes", maxPrompt)
	}
	delay, err := delayOf(req.GetDelay())
	if err != nil {
		return err
	}
	limit := int(req.GetMaxTokens())
	if limit <= 0 {
		limit = maxTokens
	}

	timer := time.NewTimer(delay)
	defer timer.Stop()
	for index, text := range tokensOf(answer(req.GetPrompt()), min(limit, maxTokens)) {
		select {
		case <-timer.C:
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-s.stopping:
			return errStopping
		}
		if err := stream.Send(&demov1.Token{Index: index, Text: text}); err != nil {
			return err
		}
		timer.Reset(delay)
	}
	return nil
}

// delayOf reads the time between two tokens.
func delayOf(d *durationpb.Duration) (time.Duration, error) {
	if d == nil {
		return defaultDelay, nil
	}
	if err := d.CheckValid(); err != nil {
		return 0, status.Error(codes.InvalidArgument, "delay is not a valid duration")
	}
	if d.AsDuration() < 0 {
		return defaultDelay, nil
	}
	return min(d.AsDuration(), maxTokenDelay), nil
}
