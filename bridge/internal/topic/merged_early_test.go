package topic

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// backlogged is a backend whose RPC at c1 sends what the test says.
type backlogged struct{ messages chan string }

func (b *backlogged) Open(ctx context.Context, cursor []byte) (Stream, error) {
	return &slotCall{b, ctx, string(cursor)}, nil
}

type slotCall struct {
	b      *backlogged
	ctx    context.Context
	cursor string
}

func (c *slotCall) Accepted() error { return c.ctx.Err() }
func (c *slotCall) Close()          {}
func (c *slotCall) Next(message func([]byte) error) error {
	messages := c.b.messages
	if c.cursor != "c1" {
		messages = nil
	}
	select {
	case m := <-messages:
		return message([]byte(m))
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

type follows struct {
	renderer
	cursor []byte
}

func (r *follows) Resume() ([]byte, uint64, bool) { return r.cursor, 0, r.cursor != nil }

// A catch-up may have merged before its pump was started. It is Live then, and has messages: else its clients would wait
// for a place that it never gets, and for a first message that is in another log.
func TestMergedBeforeItsPump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backlogged{messages: make(chan string)}
		r := NewRegistry(Limits{Topics: 3, Idle: 3, Bytes: 1 << 30})
		opens := 0
		join := func(key, cursor string, during func()) *Subscription {
			j := Join{Key: key, Resumable: true, Ordered: true}
			if cursor != "" {
				j.Place = Place{ID: cursor, Cursor: []byte(cursor), Base: cursor}
			}
			j.Open = func(after []byte, catchUp bool) (string, Params) {
				opens++
				if !catchUp && during != nil {
					during()
				}
				return "e" + strconv.Itoa(opens), Params{
					Source: b, Renderer: &follows{renderer{cursors: true}, after}, Judge: judge, Linger: time.Minute,
					Cursors: &Cursors{Expired: func(error) bool { return false }},
					Log:     replay.Params{Events: 10, Bytes: 1 << 20}, Backoff: Backoff{Initial: time.Second, Max: time.Second},
				}
			}
			s, err := r.Join(j)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return s
		}
		x, y := join("x", "", nil), join("y", "", nil)
		first := join("k", "c1", nil) // there is no room for a main log
		x.Leave()
		y.Leave()
		synctest.Wait()
		second := join("k", "c2", func() {
			b.messages <- "c2" // while the second is made, the first comes to where it begins
			synctest.Wait()
		})
		time.Sleep(time.Minute)
		if status := second.Topic.Status(); !second.Topic.member.isMerged() || status.Phase == Opening || !status.Placed || !status.Messages {
			t.Errorf("merged=%v, and the status is %+v", second.Topic.member.isMerged(), status)
		}
		first.Leave()
		second.Leave()
		r.Close()
	})
}
