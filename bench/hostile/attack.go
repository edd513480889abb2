package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// attack is one kind of harm. run does it until ctx ends, and waits for all that it began.
type attack struct {
	name string
	run  func(ctx context.Context, target target)
}

// target is a server, and who attacks it.
type target struct {
	addr string
	// from is the peer's address in the Internet, of which a balancer in front tells by the
	// PROXY protocol. It is invalid where nothing is in front.
	from netip.AddrPort
}

func attacks() []attack {
	return []attack{
		{"crumbs", crumbs},
		{"bodies", bodies},
		{"answers", answers},
		{"private", private},
		{"reset", reset},
		{"oldids", oldIDs},
		{"future", future},
		{"cursors", cursors},
		{"idle", idle},
		{"heads", heads},
		{"costly", costly},
	}
}

// many runs a function so often at once, and again whenever it returns, until ctx ends.
func many(ctx context.Context, times int, run func(ctx context.Context, number int)) {
	var all sync.WaitGroup
	for number := range times {
		all.Go(func() {
			for ctx.Err() == nil {
				run(ctx, number)
				select {
				case <-time.After(rand.N(200 * time.Millisecond)):
				case <-ctx.Done():
				}
			}
		})
	}
	all.Wait()
}

// dial connects from an address of its own, with a small buffer, and hangs up when ctx ends.
func (t target) dial(ctx context.Context) (net.Conn, func()) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 66)}, Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", t.addr)
	if err != nil {
		return nil, nil
	}
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10) //nolint:errcheck,forcetypeassert // it is one
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	hangUp := func() { stop(); _ = conn.Close() }
	if _, err := conn.Write(t.header()); err != nil {
		hangUp()

		return nil, nil
	}

	return conn, hangUp
}

// header is what a balancer in front sends first, in version 2 of the PROXY protocol.
func (t target) header() []byte {
	if !t.from.IsValid() {
		return nil
	}
	header := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x21, 0x11, 0, 12) // PROXY, TCP over IPv4
	addr := t.from.Addr().As4()
	header = append(append(header, addr[:]...), 127, 0, 0, 1)

	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(header, t.from.Port()), 80)
}

// hold sends bytes over a connection of its own and reads nothing, for a while.
func (t target) hold(ctx context.Context, text string, lasts time.Duration) {
	conn, hangUp := t.dial(ctx)
	if conn == nil {
		return
	}
	defer hangUp()
	if _, err := io.WriteString(conn, text); err != nil {
		return
	}
	t.linger(ctx, conn, lasts)
}

// linger returns when the time is over, or the bridge has hung up.
func (target) linger(ctx context.Context, conn net.Conn, lasts time.Duration) {
	for end := time.Now().Add(lasts); time.Now().Before(end) && ctx.Err() == nil; {
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
		}
		if _, err := conn.Write(nil); err != nil || hungUp(conn) {
			return
		}
	}
}

func request(method, path string, headers ...string) string {
	return method + " " + path + " HTTP/1.1\r\nHost: bridge\r\n" + strings.Join(append(headers, "\r\n"), "\r\n")
}

// bodies are POSTs of 64 KB that are never finished.
func bodies(ctx context.Context, t target) {
	text := request(http.MethodPost, "/put", "Content-Type: application/json", "Content-Length: 65000") + strings.Repeat(" ", 64_000)
	many(ctx, 2000, func(ctx context.Context, _ int) { t.hold(ctx, text, 30*time.Second) })
}

// answers are unary answers of 3 MB that are not read.
func answers(ctx context.Context, t target) {
	many(ctx, 300, func(ctx context.Context, _ int) {
		t.hold(ctx, request(http.MethodGet, "/things/large"), 30*time.Second)
	})
}

// private are clients of private streams of 3 MB messages, that read nothing.
func private(ctx context.Context, t target) {
	many(ctx, 300, func(ctx context.Context, number int) {
		t.hold(ctx, request(http.MethodGet, fmt.Sprintf("/private?topic=large%d", number)), 30*time.Second)
	})
}

// oldIDs are clients with ids that no log holds any more, held for a second.
func oldIDs(ctx context.Context, t target) {
	many(ctx, 256, func(ctx context.Context, _ int) {
		id := time.Now().Add(-rand.N(time.Hour)).UnixMilli() / every.Milliseconds()
		t.hold(ctx, request(http.MethodGet, "/shared?topic=t0", fmt.Sprintf("Last-Event-ID: %d", id)), time.Second)
	})
}

// future are clients with ids that no client was given, on a silent stream.
func future(ctx context.Context, t target) {
	many(ctx, 300, func(ctx context.Context, _ int) {
		t.hold(ctx, request(http.MethodGet, "/shared?topic=silent", fmt.Sprintf("Last-Event-ID: %d", rand.Int64())), time.Minute)
	})
}

// idle are connections over which nothing is asked for.
func idle(ctx context.Context, t target) {
	many(ctx, 1000, func(ctx context.Context, _ int) { t.hold(ctx, "", time.Minute) })
}

// heads are requests whose heads come line by line and never end.
func heads(ctx context.Context, t target) {
	many(ctx, 500, func(ctx context.Context, _ int) {
		conn, hangUp := t.dial(ctx)
		if conn == nil {
			return
		}
		defer hangUp()
		if _, err := io.WriteString(conn, "GET /shared?topic=t0 HTTP/1.1\r\nHost: bridge\r\n"); err != nil {
			return
		}
		for line := 0; ctx.Err() == nil; line++ {
			if _, err := fmt.Fprintf(conn, "X-%d: %s\r\n", line, strings.Repeat("x", 8<<10)); err != nil {
				return
			}
			time.Sleep(500 * time.Millisecond)
		}
	})
}

// costly are requests that take as much to be understood as one may: 56 KB of entries of a
// google.protobuf.Struct.
func costly(ctx context.Context, t target) {
	var entries strings.Builder
	for i := 0; entries.Len() < 56<<10; i++ {
		_, _ = fmt.Fprintf(&entries, `"%d":1,`, i)
	}
	body := `{"name":"a","kinds":{"struct":{` + strings.TrimSuffix(entries.String(), ",") + `}}}`
	text := request(http.MethodPost, "/put", "Content-Type: application/json", "Connection: close", fmt.Sprintf("Content-Length: %d", len(body))) + body
	many(ctx, 8, func(ctx context.Context, _ int) { t.hold(ctx, text, 3*time.Second) })
}

// h2 is a connection of HTTP/2 in clear, by its frames.
type h2 struct {
	*http2.Framer

	conn    net.Conn
	streams uint32 // that the bridge allows; 0: it has not said so
	next    uint32
	head    bytes.Buffer
	encoder *hpack.Encoder
}

// speak begins HTTP/2 and reads what the bridge answers until it hangs up.
func (t target) speak(ctx context.Context) (*h2, func()) {
	conn, hangUp := t.dial(ctx)
	if conn == nil {
		return nil, nil
	}
	c := &h2{Framer: http2.NewFramer(conn, conn), conn: conn, next: 1}
	c.encoder = hpack.NewEncoder(&c.head)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil || c.WriteSettings() != nil {
		hangUp()

		return nil, nil
	}
	for c.streams == 0 {
		frame, err := c.ReadFrame()
		if err != nil {
			hangUp()

			return nil, nil
		}
		if settings, ok := frame.(*http2.SettingsFrame); ok {
			c.streams, _ = settings.Value(http2.SettingMaxConcurrentStreams)
		}
	}

	return c, hangUp
}

// open sends a request's head, and returns its stream.
func (c *h2) open(path string, more ...hpack.HeaderField) (stream uint32, err error) {
	c.head.Reset()
	fields := []hpack.HeaderField{
		{Name: ":method", Value: http.MethodGet}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: "bridge"}, {Name: ":path", Value: path},
	}
	for _, field := range append(fields, more...) {
		if err := c.encoder.WriteField(field); err != nil {
			return 0, err
		}
	}
	stream, c.next = c.next, c.next+2
	block := c.head.Bytes()
	first := block[:min(len(block), 16<<10)]
	err = c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndStream: true, EndHeaders: len(first) == len(block)})
	for rest := block[len(first):]; err == nil && len(rest) > 0; {
		piece := rest[:min(len(rest), 16<<10)]
		rest = rest[len(piece):]
		err = c.WriteContinuation(stream, len(rest) == 0, piece)
	}

	return stream, err
}

// crumbs holds as many streams as it may on four connections, each with a head of thousands of small cookies, which
// are one byte each on the wire.
func crumbs(ctx context.Context, t target) {
	many(ctx, 4, func(ctx context.Context, _ int) {
		c, hangUp := t.speak(ctx)
		if c == nil {
			return
		}
		defer hangUp()
		cookies := make([]hpack.HeaderField, 1300)
		for i := range cookies {
			cookies[i] = hpack.HeaderField{Name: "cookie", Value: "c=0123456789012345678901234567890123456789"}
		}
		for number := range c.streams {
			if _, err := c.open(fmt.Sprintf("/shared?topic=silent%d", number), cookies...); err != nil {
				return
			}
		}
		t.linger(ctx, c.conn, 10*time.Second)
	})
}

// reset opens streams of topics of its own, and resets each at once.
func reset(ctx context.Context, t target) {
	many(ctx, 4, func(ctx context.Context, number int) {
		c, hangUp := t.speak(ctx)
		if c == nil {
			return
		}
		defer hangUp()
		go func() { _, _ = io.Copy(io.Discard, c.conn) }() // until the connection is closed
		for i := 0; ctx.Err() == nil; i++ {
			stream, err := c.open(fmt.Sprintf("/shared?topic=t-%d-%d", number, rand.Int64()))
			if err != nil || c.WriteRSTStream(stream, http2.ErrCodeCancel) != nil {
				return
			}
			if i%50 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	})
}
