package backendtest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// Raw is a backend that writes HTTP/2 frames itself, so that it can violate the protocol. It serves
// Watch and no other RPC.
type Raw struct {
	addr  string
	conns atomic.Int64
	watch func(*RawConn, RawStream, *testv1.WatchRequest)
}

// StartRaw runs a backend until the test ends. It calls watch for each Watch RPC on a new
// goroutine.
func StartRaw(tb testing.TB, watch func(c *RawConn, stream RawStream, req *testv1.WatchRequest)) *Raw {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("backendtest: listen: %v", err)
	}
	r := &Raw{addr: listener.Addr().String(), watch: watch}
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			r.conns.Add(1)
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			all.Go(func() { r.serve(conn) })
		}
	})
	tb.Cleanup(func() {
		if err := listener.Close(); err != nil {
			tb.Errorf("backendtest: %v", err)
		}
		mu.Lock()
		for _, conn := range open {
			_ = conn.Close() // it may be closed already
		}
		mu.Unlock()
		all.Wait()
	})
	return r
}

// Addr returns the address to dial.
func (r *Raw) Addr() string { return r.addr }

// Connections returns how many connections were accepted.
func (r *Raw) Connections() int { return int(r.conns.Load()) }

// serve serves one connection until it ends.
func (r *Raw) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }() // it may be closed already
	c := &RawConn{conn: conn, framer: http2.NewFramer(conn, conn)}
	c.coder = hpack.NewEncoder(&c.block)
	ends := map[uint32]chan struct{}{} // closed when the stream ends
	var calls sync.WaitGroup
	defer func() {
		c.Close()
		for _, end := range ends {
			close(end)
		}
		calls.Wait()
	}()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	if err := c.framer.WriteSettings(); err != nil {
		return
	}
	c.framer.ReadMetaHeaders = hpack.NewDecoder(hpackTable, nil)
	requests := map[uint32]*bytes.Buffer{}
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil && !errors.As(err, new(http2.StreamError)) {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				c.Do(func(f *http2.Framer) error { return f.WriteSettingsAck() })
			}
		case *http2.PingFrame:
			if data := frame.Data; !frame.IsAck() {
				c.Do(func(f *http2.Framer) error { return f.WritePing(true, data) })
			}
		case *http2.MetaHeadersFrame:
			requests[frame.StreamID] = new(bytes.Buffer)
		case *http2.DataFrame:
			stream, request := frame.StreamID, requests[frame.StreamID]
			if request == nil {
				continue
			}
			_, _ = request.Write(frame.Data()) // to memory
			if !frame.StreamEnded() {
				continue
			}
			delete(requests, stream)
			req := new(testv1.WatchRequest)
			if request.Len() < messageHead || proto.Unmarshal(request.Bytes()[messageHead:], req) != nil {
				return
			}
			end := make(chan struct{})
			ends[stream] = end
			calls.Go(func() { r.watch(c, RawStream{ID: stream, End: end}, req) })
		case *http2.RSTStreamFrame:
			if end := ends[frame.StreamID]; end != nil {
				close(end)
				delete(ends, frame.StreamID)
			}
		}
	}
}

const (
	hpackTable  = 4096 // the size of HPACK's table (RFC 9113, section 6.5.2)
	messageHead = 5    // the length of the prefix of a gRPC message
)

// RawStream is a stream of a Raw backend.
type RawStream struct {
	ID uint32
	// End is closed when the client resets the stream, or the connection ends.
	End <-chan struct{}
}

// RawConn is a connection of a Raw backend. Its methods may be called from any goroutine. They
// ignore failed writes, since the peer may be gone.
type RawConn struct {
	conn net.Conn

	mu     sync.Mutex
	framer *http2.Framer
	block  bytes.Buffer
	coder  *hpack.Encoder
}

// Do writes frames. No other goroutine writes between them.
func (c *RawConn) Do(write func(f *http2.Framer) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = write(c.framer) // the peer may be gone
}

// Block encodes a header block of names and values. The caller must send it next.
func (c *RawConn) Block(fields ...string) []byte {
	c.block.Reset()
	for i := 0; i+1 < len(fields); i += 2 {
		_ = c.coder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}) // to memory
	}
	return bytes.Clone(c.block.Bytes())
}

// Head sends response headers.
func (c *RawConn) Head(stream uint32) {
	c.Do(func(f *http2.Framer) error {
		block := c.Block(":status", "200", "content-type", "application/grpc")
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndHeaders: true})
	})
}

// Message sends a message.
func (c *RawConn) Message(stream uint32, event *testv1.FeedEvent) {
	wire, err := proto.Marshal(event)
	if err != nil {
		panic(err) // a message of the test's own
	}
	n := len(wire)
	head := []byte{0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	c.Do(func(f *http2.Framer) error { return f.WriteData(stream, false, append(head, wire...)) })
}

// Ticks sends an event every 5 ms until the stream ends. Their sequence numbers follow req.After.
func (c *RawConn) Ticks(stream RawStream, req *testv1.WatchRequest) {
	c.Head(stream.ID)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for seq := req.GetAfter() + 1; ; seq++ {
		c.Message(stream.ID, &testv1.FeedEvent{Seq: seq})
		select {
		case <-ticker.C:
		case <-stream.End:
			return
		}
	}
}

const tick = 5 * time.Millisecond

// Close closes the connection.
func (c *RawConn) Close() { _ = c.conn.Close() }

// Abort closes the connection with a TCP reset.
func (c *RawConn) Abort() {
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.Close()
}
