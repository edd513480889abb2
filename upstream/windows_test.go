package upstream

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// count returns the number of counted bytes.
func (i *Intake) count() int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.used
}

// A large message is received only once the intake has room for it; small ones on the same
// connection are received before.
func TestLargeMessagesWaitForRoom(t *testing.T) {
	for name, tls := range map[string]bool{"clear": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			params, opts := Params{Intake: NewIntake(1 << 20)}, []backendtest.Option(nil)
			if tls {
				authority := backendtest.NewAuthority(t)
				opts, params.TLS = append(opts, backendtest.WithTLS(authority)), &TLS{CA: authority.CAFile}
			}
			backend := backendtest.Start(t, opts...)
			params.Target = backend.Addr()
			u := connect(t, params)
			large := &testv1.FeedEvent{Seq: 1, Payload: bytes.Repeat([]byte("x"), 3<<20)}
			backend.OnWatch(func(request *testv1.WatchRequest, stream watchServer) error {
				if request.GetTopic() == "large" {
					return stream.Send(large)
				}
				return stream.Send(&testv1.FeedEvent{Kind: "small"})
			})
			params.Intake.Add(1 << 20)
			stuck := watch(t, u, &testv1.WatchRequest{Topic: "large"})
			received := make(chan *testv1.FeedEvent)
			go func() {
				event := new(testv1.FeedEvent)
				if err := stuck.Next(func(wire []byte) error { return proto.Unmarshal(wire, event) }); err != nil {
					t.Error(err)
				}
				received <- event
			}()
			eventually(t, func() bool {
				params.Intake.mu.Lock()
				defer params.Intake.mu.Unlock()
				return len(params.Intake.waiting) == 1
			})
			if got := next(t, watch(t, u, nil)); got.GetKind() != "small" {
				t.Errorf("got %v", got)
			}
			select {
			case <-received:
				t.Fatal("a large message is received without room")
			default:
			}
			params.Intake.Done(1 << 20)
			if got := <-received; !proto.Equal(got, large) {
				t.Error("the message differs")
			}
			eventually(t, func() bool { return params.Intake.count() == 0 })
		})
	}
}

// Many large messages at once are received one by one while some of their RPCs are cancelled. In
// the end no bytes are counted.
func TestManyLargeMessagesAreReceivedOneByOne(t *testing.T) {
	backend := backendtest.Start(t, backendtest.WithMaxConcurrentStreams(200))
	intake := NewIntake(2 << 20)
	u := connect(t, Params{Target: backend.Addr(), Intake: intake})
	large := &testv1.FeedEvent{Seq: 1, Payload: bytes.Repeat([]byte("x"), 1<<20)}
	backend.OnWatch(func(_ *testv1.WatchRequest, stream watchServer) error {
		for range 3 {
			if err := stream.Send(large); err != nil {
				return err
			}
		}
		return nil
	})
	var all sync.WaitGroup
	for number := range 40 {
		s := watch(t, u, nil)
		all.Go(func() {
			if number%4 == 0 {
				s.Close()
				return
			}
			for range 3 {
				err := s.Next(func(wire []byte) error {
					if count := intake.count(); count > 3<<20 {
						t.Errorf("%d bytes are counted", count)
					}
					if len(wire) < 1<<20 {
						t.Errorf("a message of %d bytes", len(wire))
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	eventually(t, func() bool { return intake.count() == 0 })
}

// Large messages of streams that stay silent afterwards are received one by one: each stops
// counting once it has arrived, not when its stream sends more.
func TestLargeMessagesOfQuietStreamsAreReceivedOneByOne(t *testing.T) {
	backend := backendtest.Start(t, backendtest.WithMaxConcurrentStreams(200))
	intake := NewIntake(2 << 20)
	u := connect(t, Params{Target: backend.Addr(), Intake: intake})
	large := &testv1.FeedEvent{Seq: 1, Payload: bytes.Repeat([]byte("x"), 1<<20)}
	backend.OnWatch(func(_ *testv1.WatchRequest, stream watchServer) error {
		if err := stream.Send(large); err != nil {
			return err
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	})
	began := time.Now()
	var all sync.WaitGroup
	for range 20 {
		s := watch(t, u, nil)
		all.Go(func() {
			if err := s.Next(func([]byte) error { return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took > grantTimeout {
		t.Errorf("20 messages took %v", took)
	}
	eventually(t, func() bool { return intake.count() == 0 })
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	each := time.NewTicker(time.Millisecond)
	defer each.Stop()
	for !done() {
		select {
		case <-each.C:
		case <-ctx.Done():
			t.Fatal("the condition was not met")
		}
	}
}
