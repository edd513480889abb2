package demo

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	demov1 "github.com/ssebridge/ssebridge/gen/ssebridge/demo/v1"
)

// say sends a message and returns its seq.
func say(t *testing.T, chat demov1.ChatServiceClient, room, text string) int64 {
	t.Helper()
	got, err := chat.Send(within(t), &demov1.SendRequest{RoomId: room, Author: "Ada", Text: text})
	if err != nil {
		t.Fatal(err)
	}
	return got.GetSeq()
}

// subscribe waits until the room has accepted the subscriber.
func subscribe(
	ctx context.Context, t *testing.T, chat demov1.ChatServiceClient, req *demov1.SubscribeRequest,
) grpc.ServerStreamingClient[demov1.ChatEvent] {
	t.Helper()
	stream, err := chat.Subscribe(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Header(); err != nil {
		t.Fatal(err)
	}
	return stream
}

// wantEvents receives events and compares them, as "seq who what".
func wantEvents(t *testing.T, stream grpc.ServerStreamingClient[demov1.ChatEvent], want ...string) {
	t.Helper()
	for _, w := range want {
		event, err := stream.Recv()
		if err != nil {
			t.Fatalf("%v, want %q", err, w)
		}
		if got := describe(event); got != w {
			t.Fatalf("got %q, want %q", got, w)
		}
	}
}

func describe(event *demov1.ChatEvent) string {
	switch body := event.GetBody().(type) {
	case *demov1.ChatEvent_Message:
		return fmt.Sprintf("%d %s: %s", event.GetSeq(), body.Message.GetAuthor(), body.Message.GetText())
	case *demov1.ChatEvent_Joined:
		return fmt.Sprintf("%d %s joined", event.GetSeq(), body.Joined.GetUser())
	case *demov1.ChatEvent_Left:
		return fmt.Sprintf("%d %s left", event.GetSeq(), body.Left.GetUser())
	default:
		return "nothing"
	}
}

func TestChatBeginsWhereTheCallerAsks(t *testing.T) {
	conn, _ := startBackend(t)
	chat := demov1.NewChatServiceClient(conn)
	for _, text := range []string{"one", "two", "three"} {
		say(t, chat, "r", text)
	}
	for name, tc := range map[string]struct {
		req  *demov1.SubscribeRequest
		want []string
	}{
		"history":         {&demov1.SubscribeRequest{IncludeHistory: true}, []string{"1 Ada: one", "2 Ada: two", "3 Ada: three"}},
		"limited history": {&demov1.SubscribeRequest{IncludeHistory: true, Limit: 1}, []string{"3 Ada: three"}},
		"a large limit":   {&demov1.SubscribeRequest{IncludeHistory: true, Limit: 99}, []string{"1 Ada: one"}},
		"after a seq":     {&demov1.SubscribeRequest{AfterSeq: 1}, []string{"2 Ada: two", "3 Ada: three"}},
		"after a seq, whatever history": {
			&demov1.SubscribeRequest{AfterSeq: 2, IncludeHistory: true, Limit: 9},
			[]string{"3 Ada: three"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.req.RoomId = "r"
			wantEvents(t, subscribe(within(t), t, chat, tc.req), tc.want...)
		})
	}
}

func TestChatGoesOnLive(t *testing.T) {
	conn, _ := startBackend(t)
	chat := demov1.NewChatServiceClient(conn)
	say(t, chat, "r", "before")
	live := subscribe(within(t), t, chat, &demov1.SubscribeRequest{RoomId: "r"})
	say(t, chat, "elsewhere", "not for us")
	if seq := say(t, chat, "r", "now"); seq != 2 {
		t.Fatalf("seq %d, want 2", seq)
	}
	wantEvents(t, live, "2 Ada: now")
}

func TestChatAnnouncesJoinsAndLeaves(t *testing.T) {
	conn, _ := startBackend(t)
	chat := demov1.NewChatServiceClient(conn)
	watcher := subscribe(within(t), t, chat, &demov1.SubscribeRequest{RoomId: "r"})

	ctx, leave := context.WithCancel(within(t))
	guest := subscribe(ctx, t, chat, &demov1.SubscribeRequest{RoomId: "r", UserId: "Bo"})
	wantEvents(t, guest, "1 Bo joined")
	leave()

	wantEvents(t, watcher, "1 Bo joined", "2 Bo left")
}

func TestChatRefusesAPositionThatItDoesNotHold(t *testing.T) {
	conn, _ := startBackend(t)
	chat := demov1.NewChatServiceClient(conn)
	for i := range roomHistory + 2 {
		say(t, chat, "r", strconv.Itoa(i))
	}
	for name, seq := range map[string]int64{"fallen out": 1, "never reached": roomHistory + 3} {
		t.Run(name, func(t *testing.T) {
			stream, err := chat.Subscribe(within(t), &demov1.SubscribeRequest{RoomId: "r", AfterSeq: seq})
			if err != nil {
				t.Fatal(err)
			}
			_, err = stream.Recv()
			wantCode(t, err, codes.OutOfRange)
		})
	}
	held := subscribe(within(t), t, chat, &demov1.SubscribeRequest{RoomId: "r", AfterSeq: 2})
	wantEvents(t, held, "3 Ada: 2")
}

func TestChatRefusesValuesOutOfBounds(t *testing.T) {
	conn, _ := startBackend(t)
	chat := demov1.NewChatServiceClient(conn)
	long := strings.Repeat("x", maxText+1)
	for name, req := range map[string]*demov1.SubscribeRequest{
		"no room":                {},
		"a room's name too long": {RoomId: long},
		"a user's name too long": {RoomId: "r", UserId: long},
		"a negative seq":         {RoomId: "r", AfterSeq: -1},
		"a negative limit":       {RoomId: "r", Limit: -1},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := chat.Subscribe(within(t), req)
			if err != nil {
				t.Fatal(err)
			}
			_, err = stream.Recv()
			wantCode(t, err, codes.InvalidArgument)
		})
	}
	for name, req := range map[string]*demov1.SendRequest{
		"no room":         {Author: "a", Text: "t"},
		"no author":       {RoomId: "r", Text: "t"},
		"no text":         {RoomId: "r", Author: "a"},
		"a text too long": {RoomId: "r", Author: "a", Text: long},
	} {
		t.Run("send "+name, func(t *testing.T) {
			_, err := chat.Send(within(t), req)
			wantCode(t, err, codes.InvalidArgument)
		})
	}
}

// Strangers can name rooms, so there must be an end to them.
func TestChatBoundsItsRooms(t *testing.T) {
	conn, _ := startBackend(t)
	chat := demov1.NewChatServiceClient(conn)
	for i := range maxRooms - 1 { // the lobby is one
		say(t, chat, strconv.Itoa(i), "mine")
	}
	_, err := chat.Send(within(t), &demov1.SendRequest{RoomId: "one more", Author: "a", Text: "t"})
	wantCode(t, err, codes.ResourceExhausted)
	stream, err := chat.Subscribe(within(t), &demov1.SubscribeRequest{RoomId: "one more"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	wantCode(t, err, codes.ResourceExhausted)
	say(t, chat, "0", "those there are go on")
}
