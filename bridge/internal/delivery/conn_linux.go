package delivery

import (
	"context"
	"net"
	"sync"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/internal/pause"
)

// overConn returns a Stream over a hijacked connection that the shard cannot serve, such as one that is
// not a bare kernel socket. Hijacking detaches the connection from the request's context, so a goroutine
// reads from the connection to notice when the client closes it.
func (c *Clients) overConn(conn net.Conn, client *Client) *Stream {
	s := newStream(c, client, newEncoder(client.Gzip, true), chunkedConn{conn})
	s.wrapRun = func(run func(context.Context) reason.End) reason.End {
		ctx, gone := context.WithCancel(context.Background())
		defer gone()
		var watching sync.WaitGroup
		watching.Go(func() {
			defer gone()
			discard(conn)
		})
		end := run(ctx)
		if half, ok := conn.(interface{ CloseWrite() error }); ok && (end == reason.EndComplete || end == reason.EndAsked) && half.CloseWrite() == nil {
			_ = pause.For(ctx, closeTimeout) // the client closes first, see closeTimeout
		}
		_ = conn.Close() // an error changes nothing: the stream has ended
		watching.Wait()
		return end
	}
	return s
}

// discard reads and drops what the client sends after its request. It returns when the client has closed
// its side, or has sent more than maxFurtherInput bytes.
func discard(conn net.Conn) {
	scratch := make([]byte, 512)
	for input := 0; input <= maxFurtherInput; {
		n, err := conn.Read(scratch)
		if err != nil {
			return
		}
		input += n
	}
}

// chunkedConn is a sink for blocks that an encoder has put into chunks.
type chunkedConn struct{ net.Conn }

// Flush does nothing: a net.Conn does not buffer.
func (chunkedConn) Flush() error { return nil }
