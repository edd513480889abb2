package topic

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// lateHeaders is a backend whose answer to an RPC at a cursor arrives in the moment in which the RPC is ended.
type lateHeaders struct {
	opened  []string
	headers chan struct{}
}

func (b *lateHeaders) Open(ctx context.Context, cursor []byte) (Stream, error) {
	b.opened = append(b.opened, string(cursor))
	return &lateCall{b, ctx, cursor != nil && len(b.headers) == 0}, nil
}

type lateCall struct {
	b    *lateHeaders
	ctx  context.Context
	late bool
}

func (c *lateCall) Accepted() error {
	if c.late {
		<-c.b.headers // they have arrived; that the context has ended as well, the transport need not see
	}
	return nil
}

func (c *lateCall) Next(func([]byte) error) error { <-c.ctx.Done(); return c.ctx.Err() }
func (c *lateCall) Close()                        {}

type atCursor struct {
	renderer
	cursor []byte
}

func (r *atCursor) Resume() ([]byte, uint64, bool) { return r.cursor, 0, r.cursor != nil }

// A catch-up that ends while its RPC is being accepted is not found any more: a client that comes back with the same cursor
// gets an RPC.
func TestEndedWhileAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &lateHeaders{headers: make(chan struct{})}
		r := NewRegistry(anyLimits)
		join := func(cursor string) *Subscription {
			j := Join{Key: "k", Resumable: true, Ordered: true}
			if cursor != "" {
				j.Place = Place{ID: cursor, Cursor: []byte(cursor), Base: cursor}
			}
			j.Open = func(after []byte, _ bool) (string, Params) {
				return "e" + string(after), Params{
					Source: b, Renderer: &atCursor{cursor: after}, Judge: judge, Linger: time.Minute,
					Cursors: &Cursors{Expired: func(error) bool { return false }},
					Log:     replay.Params{Events: 10, Bytes: 1 << 20}, Backoff: Backoff{Initial: time.Second, Max: time.Second},
				}
			}
			s, err := r.Join(j)
			if err != nil {
				t.Fatal(err)
			}
			s.Opened()
			synctest.Wait()
			return s
		}
		main := join("")
		defer main.Leave()
		c := join("c1")
		c.Leave() // its socket is gone: the catch-up ends
		close(b.headers)
		synctest.Wait()
		before := len(b.opened)
		gone := c.Topic
		again := join("c1")
		defer again.Leave()
		if again.Topic == gone {
			t.Errorf("the client listens to a topic that has ended: phase %d, gone=%v, runs=%v", gone.Status().Phase, gone.reg.gone, gone.member.runs())
		}
		if len(b.opened) == before {
			t.Errorf("no RPC was opened for it: %q", b.opened)
		}
		r.Close()
	})
}
