package demo

import (
	"context"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	demov1 "github.com/ssebridge/ssebridge/gen/ssebridge/demo/v1"
)

// Bounds of names and texts, in bytes.
const (
	maxName = 64
	maxText = 1000
)

// chatService keeps rooms.
type chatService struct {
	demov1.UnimplementedChatServiceServer

	rooms    *rooms
	stopping <-chan struct{}
}

// Send appends a message to a room.
func (s *chatService) Send(_ context.Context, req *demov1.SendRequest) (*demov1.SendResponse, error) {
	for _, field := range []struct {
		name, value string
		limit       int
	}{{"room_id", req.GetRoomId(), maxName}, {"author", req.GetAuthor(), maxName}, {"text", req.GetText(), maxText}} {
		if err := checkText(field.name, field.value, field.limit); err != nil {
			return nil, err
		}
	}

	event := s.rooms.say(req.GetRoomId(), req.GetAuthor(), req.GetText())
	if event == nil {
		return nil, errTooManyRooms()
	}
	return &demov1.SendResponse{Seq: event.GetSeq(), Time: event.GetTime()}, nil
}

// Subscribe sends a room's events in order. A caller that reads so slowly that the
// room's history runs away under it is told OUT_OF_RANGE, as is one that asks for a
// position that is not held; either way nothing is skipped in silence.
func (s *chatService) Subscribe(req *demov1.SubscribeRequest, stream grpc.ServerStreamingServer[demov1.ChatEvent]) error {
	if err := checkSubscription(req); err != nil {
		return err
	}
	r := s.rooms.enter(req.GetRoomId())
	if r == nil {
		return errTooManyRooms()
	}
	defer s.rooms.exit(r)

	position := req.GetAfterSeq()
	if position == 0 {
		position = r.begin(req.GetIncludeHistory(), int(req.GetLimit()))
	}
	if _, _, ok := r.after(position); !ok {
		return errNotHeld(position)
	}
	// Headers now, for a silent room has nothing else to say that the call was accepted.
	if err := stream.SendHeader(metadata.MD{}); err != nil {
		return err
	}
	if user := req.GetUserId(); user != "" {
		r.join(user)
		defer r.leave(user)
	}
	return s.follow(r, position, stream)
}

// follow sends what comes after position until the caller leaves.
func (s *chatService) follow(r *room, position int64, stream grpc.ServerStreamingServer[demov1.ChatEvent]) error {
	for {
		events, changed, ok := r.after(position)
		if !ok {
			return errNotHeld(position)
		}
		for _, event := range events {
			if err := stream.Send(event); err != nil {
				return err
			}
			position = event.GetSeq()
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-s.stopping:
			return errStopping
		}
	}
}

// checkSubscription refuses a request with a field out of its bounds.
func checkSubscription(req *demov1.SubscribeRequest) error {
	if err := checkText("room_id", req.GetRoomId(), maxName); err != nil {
		return err
	}
	if req.GetUserId() != "" {
		if err := checkText("user_id", req.GetUserId(), maxName); err != nil {
			return err
		}
	}
	if req.GetAfterSeq() < 0 {
		return status.Error(codes.InvalidArgument, "after_seq: must not be negative")
	}
	if req.GetLimit() < 0 {
		return status.Error(codes.InvalidArgument, "limit: must not be negative")
	}
	return nil
}

// checkText refuses a text that is empty or too long. (That it is UTF-8, protobuf has seen to.)
func checkText(field, text string, limit int) error {
	if text == "" || len(text) > limit || !utf8.ValidString(text) {
		return status.Errorf(codes.InvalidArgument, "%s: must have 1 to %d bytes", field, limit)
	}
	return nil
}

func errTooManyRooms() error {
	return status.Errorf(codes.ResourceExhausted, "there are %d rooms already; use one of them", maxRooms)
}

func errNotHeld(position int64) error {
	return status.Errorf(codes.OutOfRange, "the events after seq %d are not held", position)
}
