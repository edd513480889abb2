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
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// attack is one kind of attack. run attacks until ctx ends, and joins the goroutines that it
// has started.
type attack struct {
	name string
	run  func(ctx context.Context, target target)
}

// target is a server, as one attacker sees it.
type target struct {
	addr string
	// from is the attacker's address in the Internet, which a balancer in front passes on by
	// the PROXY protocol. It is invalid where nothing is in front.
	from netip.AddrPort
	// fewer divides the number of an attack's connections.
	fewer     int
	connected *atomic.Int64 // connections so far
}

func newTarget(addr string) target { return target{addr: addr, fewer: 1, connected: new(atomic.Int64)} }

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

// many runs a function so many times at once, and again whenever it returns, until ctx ends.
func (t target) many(ctx context.Context, times int, run func(ctx context.Context, number int)) {
	var all sync.WaitGroup
	for number := range max(1, times/t.fewer) {
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

// dial connects from an address of the attackers' own, with a small buffer, and hangs up when
// ctx ends.
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
	t.connected.Add(1)
	return conn, hangUp
}

// header returns the bytes that a balancer in front sends first, in version 2 of the PROXY
// protocol.
func (t target) header() []byte {
	if !t.from.IsValid() {
		return nil
	}
	header := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x21, 0x11, 0, 12) // PROXY, TCP over IPv4
	addr := t.from.Addr().As4()
	header = append(append(header, addr[:]...), 127, 0, 0, 1)
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(header, t.from.Port()), 80)
}

// hold sends bytes by a new connection, and holds that for a while without reading from it.
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

// linger returns when the time is over, or the server has hung up.
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

// bodies sends POSTs of 64 KB and never finishes them.
func bodies(ctx context.Context, t target) {
	text := request(http.MethodPost, "/put", "Content-Type: application/json", "Content-Length: 65000") + strings.Repeat(" ", 64_000)
	t.many(ctx, 2000, func(ctx context.Context, _ int) { t.hold(ctx, text, 30*time.Second) })
}

// answers asks for unary answers of 3 MB and does not read them. It asks three times by each
// connection: the kernel buffers up to 4 MiB, so the first answer is held by no server.
func answers(ctx context.Context, t target) {
	t.many(ctx, 300, func(ctx context.Context, _ int) {
		t.hold(ctx, strings.Repeat(request(http.MethodGet, "/things/large"), 3), 30*time.Second)
	})
}

// private opens private streams of 3 MB messages and reads nothing.
func private(ctx context.Context, t target) {
	t.many(ctx, 300, func(ctx context.Context, number int) {
		t.hold(ctx, request(http.MethodGet, fmt.Sprintf("/private?topic=large%d", number)), 30*time.Second)
	})
}

// oldIDs opens streams at ids that no log holds any more, each for a second.
func oldIDs(ctx context.Context, t target) {
	t.many(ctx, 256, func(ctx context.Context, _ int) {
		id := time.Now().Add(-rand.N(time.Hour)).UnixMilli() / every.Milliseconds()
		t.hold(ctx, request(http.MethodGet, "/shared?topic=t0", fmt.Sprintf("Last-Event-ID: %d", id)), time.Second)
	})
}

// future opens a silent stream at ids that no client was given.
func future(ctx context.Context, t target) {
	t.many(ctx, 300, func(ctx context.Context, _ int) {
		t.hold(ctx, request(http.MethodGet, "/shared?topic=silent", fmt.Sprintf("Last-Event-ID: %d", rand.Int64())), time.Minute)
	})
}

// idle opens connections and sends no request.
func idle(ctx context.Context, t target) {
	t.many(ctx, 1000, func(ctx context.Context, _ int) { t.hold(ctx, "", time.Minute) })
}

// heads sends requests line by line and never ends their heads.
func heads(ctx context.Context, t target) {
	t.many(ctx, 500, func(ctx context.Context, _ int) {
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
			select {
			case <-time.After(500 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
}

// costly sends requests that take as long to parse as one may: 56 KB of entries of a
// google.protobuf.Struct.
func costly(ctx context.Context, t target) {
	var entries strings.Builder
	for i := 0; entries.Len() < 56<<10; i++ {
		_, _ = fmt.Fprintf(&entries, `"%d":1,`, i)
	}
	body := `{"name":"a","kinds":{"struct":{` + strings.TrimSuffix(entries.String(), ",") + `}}}`
	text := request(http.MethodPost, "/put", "Content-Type: application/json", "Connection: close", fmt.Sprintf("Content-Length: %d", len(body))) + body
	t.many(ctx, 8, func(ctx context.Context, _ int) { t.hold(ctx, text, 3*time.Second) })
}

// h2 is a connection of HTTP/2 in clear, by its frames.
type h2 struct {
	*http2.Framer

	conn    net.Conn
	streams uint32 // that the server allows; 0: it has not said so
	next    uint32
	head    bytes.Buffer
	encoder *hpack.Encoder
}

// speak begins HTTP/2, and reads until the server has sent its settings.
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

// crumbCount is how many cookies a head of crumbs has. Each counts as 80 bytes (RFC 9113,
// section 6.5.2), so 1,200 are just below the 96 KiB that the servers take; as one header
// they are 53 KB, below the bridge's request_bytes. A larger head is refused, and holds
// nothing.
const crumbCount = 1200

// crumbs holds as many streams as it may on four connections. The head of each has 1,200
// small cookies, which are one byte each on the wire.
func crumbs(ctx context.Context, t target) {
	t.many(ctx, 4, func(ctx context.Context, _ int) {
		c, hangUp := t.speak(ctx)
		if c == nil {
			return
		}
		defer hangUp()
		cookies := make([]hpack.HeaderField, crumbCount)
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

// reset opens streams, each of another topic, and resets each at once.
func reset(ctx context.Context, t target) {
	t.many(ctx, 4, func(ctx context.Context, number int) {
		c, hangUp := t.speak(ctx)
		if c == nil {
			return
		}
		var reading sync.WaitGroup
		defer reading.Wait()
		defer hangUp() // before the wait
		reading.Go(func() { _, _ = io.Copy(io.Discard, c.conn) })
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
