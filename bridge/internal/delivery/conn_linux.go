package delivery

import (
	"context"
	"net"
	"sync"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// overConn returns a stream over a connection that is no socket of the kernel's,
// but a listener's of its own. The request's context knows it no more.
func (c *Clients) overConn(conn net.Conn, client *Client) *Stream {
	s := newStream(c, client, newForm(client.Gzip, true), chunkedConn{conn})
	s.around = func(run func(context.Context) reason.End) reason.End {
		ctx, gone := context.WithCancel(context.Background())
		defer gone()
		var watching sync.WaitGroup
		watching.Go(func() {
			defer gone()
			discard(conn)
		})
		end := run(ctx)
		if half, ok := conn.(interface{ CloseWrite() error }); ok && (end == reason.EndComplete || end == reason.EndAsked) && half.CloseWrite() == nil {
			_ = pause(ctx, closing) // the client may close first
		}
		_ = conn.Close() // all that can be said has been
		watching.Wait()
		return end
	}
	return s
}

// discard reads what a client sends after its request. It returns when the
// client has ended its side, or sends too much.
func discard(conn net.Conn) {
	scratch := make([]byte, 512)
	for input := 0; input <= furtherInput; {
		n, err := conn.Read(scratch)
		if err != nil {
			return
		}
		input += n
	}
}

// chunkedConn is a sink for blocks that are chunks already.
type chunkedConn struct{ net.Conn }

// Flush does nothing: what was written is on its way.
func (chunkedConn) Flush() error { return nil }
