package topic

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// stranger is a client of a stream whose ids are numbers, in real time.
func stranger(t *testing.T, r *Registry, key string, messages []string, cursor string) *Subscription {
	t.Helper()
	sub, err := r.Join(Join{
		Key: key, Resumable: true, Ordered: true, Place: atID(cursor), Parse: atID,
		Open: func(after []byte, _ bool) (string, Params) {
			return "e" + key + cursor + string(after), Params{
				Source: &room{messages, true}, Renderer: &follows{renderer{cursors: true}, after}, Judge: judge,
				Cursors: &Cursors{Expired: func(error) bool { return false }},
				Log:     replay.Params{Events: 1024, Bytes: 1 << 20}, Backoff: Backoff{Initial: time.Second, Max: time.Second},
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	sub.Opened()
	return sub
}

// atID is the place of a cursor that is its own id.
func atID(id string) Place { return Place{ID: id, Cursor: []byte(id), Base: id} }

// follow reads until the client has the last message.
func follow(sub *Subscription, messages []string) error {
	last := messages[len(messages)-1]
	for position := sub.Position; ; {
		if sub.Log().ID(position) == last {
			return nil
		}
		_, next, err := sub.Log().Read(position, 1<<20, nil)
		switch {
		case errors.Is(err, io.EOF):
			moved, err := sub.Move()
			if !moved || err != nil {
				return errors.Join(err, errors.New("the stream has ended"))
			}
			position = sub.Position
			continue
		case err != nil:
			return err
		case next == position:
			<-sub.Log().Grown(position)
			continue
		}
		position = next
		sub.Progress(position)
	}
}

// Thousands of clients at cursors that they have made up cost the others nothing:
// no frame, no client that comes and no lock waits for a look through all logs. They
// take their part of the machine; so the others are compared with clients beside as
// many strangers on another stream.
func TestMadeUpCursorsDelayNoClient(t *testing.T) {
	messages := make([]string, 10_000)
	for i := range messages {
		messages[i] = "m" + strconv.Itoa(i)
	}
	const strangers = 5000
	for range 3 { // the machine may be busier for a while
		elsewhere := beside(t, messages, "other", strangers)
		took := beside(t, messages, "k", strangers)
		elsewhere = max(elsewhere, beside(t, messages, "other", strangers))
		t.Logf("up to date after %v, and after %v beside as many on another stream", took, elsewhere)
		if took <= 2*elsewhere { // with work that grows with the logs it is 35 times
			return
		}
	}
	t.Error("clients wait for those at cursors that do not exist")
}

// beside returns how long some clients take to replay a stream beside so many that
// stand at cursors of the future, on a stream with a key.
func beside(t *testing.T, messages []string, key string, strangers int) time.Duration {
	t.Helper()
	r := NewRegistry(Limits{Topics: 100_000, Idle: 10, Bytes: 1 << 30})
	defer r.Close()
	var clients []*Subscription
	for i := range strangers {
		clients = append(clients, stranger(t, r, key, messages, "future"+strconv.Itoa(i)))
	}
	var honest sync.WaitGroup
	began := time.Now()
	for i := range 20 {
		sub := stranger(t, r, "k", messages, "m"+strconv.Itoa(i%10))
		clients = append(clients, sub)
		honest.Go(func() {
			if err := follow(sub, messages); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	honest.Wait()
	took := time.Since(began)
	for _, sub := range clients {
		sub.Leave()
	}
	return took
}

// gatedRenderer reads a message when the test lets it.
type gatedRenderer struct {
	follows

	gate chan struct{}
}

// Read waits for the gate.
func (r *gatedRenderer) Read(ctx context.Context, wire []byte) (Message, error) {
	<-r.gate
	return r.follows.Read(ctx, wire)
}

// The client of a catch-up leaves while a message of its RPC is being rendered. The family does not take the ended catch-up into its
// index again with that message: there it would stay for as long as the family does.
func TestAnEndedCatchUpLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(anyLimits)
		defer r.Close()
		gate := make(chan struct{})
		join := func(cursor string) *Subscription {
			j := Join{Key: "k", Resumable: true, Ordered: true, Open: func(after []byte, catchUp bool) (string, Params) {
				params := Params{
					Source: &room{messages: []string{"c1", "c2"}, headers: true}, Judge: judge, Cursors: &Cursors{Expired: func(error) bool { return false }},
					Log: replay.Params{Events: 10, Bytes: 1 << 20}, Backoff: Backoff{Initial: time.Second, Max: time.Second},
					Renderer: &follows{renderer{cursors: true}, after},
				}
				if catchUp {
					params.Renderer = &gatedRenderer{follows{renderer{cursors: true}, after}, gate}
				}
				return "e" + string(after), params
			}}
			if cursor != "" {
				j.Place = atID(cursor)
			}
			sub, err := r.Join(j)
			if err != nil {
				t.Fatal(err)
			}
			sub.Opened()
			synctest.Wait()
			return sub
		}
		main := join("")
		defer main.Leave()
		join("c1").Leave()
		close(gate)
		synctest.Wait()
		index := main.Topic.home.index
		if len(index.standing)+len(index.holders) > 0 {
			t.Errorf("%d ids are waited for and %d are held, of a catch-up that has ended", len(index.standing), len(index.holders))
		}
	})
}
