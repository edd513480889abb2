package cli

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/cmd/ssebridge/internal/listen"
	"github.com/ssebridge/ssebridge/internal/address"
)

// A peer that opens streams of HTTP/2 and resets each at once (CVE-2023-44487) has as many
// requests served as its address may send: its connection is not read further.
func TestRapidResetIsReadAtItsPace(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	s := &starting{proxied: listen.NewProxied(listen.ProxiedParams{Listener: inner, Timeout: time.Minute, Logger: logger})}
	s.proxied.Trust([]netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")})
	const perSecond = 20
	s.proxied.LimitPace(listen.PaceLimits{Requests: perSecond, RequestsOwnOnly: true})
	var served atomic.Int64
	handler := s.proxied.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) }))
	params := serverParams{handler: handler, logger: logger, limits: config.Config{}.WithDefaults().Limits, patience: usualPatience()}
	e := &endpoint{name: listen.Public, listener: s.proxied, server: s.server(params)}
	ended := make(chan error, 1)
	go func() { ended <- e.serve() }()
	defer func() {
		if err := e.stop(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	conn, err := net.Dial("tcp", s.proxied.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, conn)
	if _, err := io.WriteString(conn, headerOf("203.0.113.7")+http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, conn) }() // until it is closed
	framer := http2.NewFramer(conn, nil)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	var head headerBlock
	begun := time.Now()
	const lasts = 3 * time.Second
	if err := conn.SetDeadline(begun.Add(lasts)); err != nil {
		t.Fatal(err)
	}
	sent := 0
	for stream := uint32(1); ; stream += 2 {
		if framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: head.request(), EndStream: true, EndHeaders: true}) != nil ||
			framer.WriteRSTStream(stream, http2.ErrCodeCancel) != nil {
			break // the deadline, or the bridge has hung up
		}
		sent++
	}
	took := time.Since(begun)
	// What is read at once, and while the pause is being noticed, is served too.
	if most := int64((took.Seconds()+address.Burst)*perSecond) + 2*ownStreams; served.Load() > most || sent < 2*int(most) {
		t.Errorf("%d of %d requests were served in %v, want at most %d", served.Load(), sent, took, most)
	}
}

// headerBlock encodes a request's head.
type headerBlock struct{ bytes []byte }

func (h *headerBlock) request() []byte {
	if h.bytes == nil {
		encoder := hpack.NewEncoder(h)
		encoder.SetMaxDynamicTableSize(0) // each head is the same
		for name, value := range map[string]string{":method": "GET", ":scheme": "http", ":authority": "x", ":path": "/"} {
			_ = encoder.WriteField(hpack.HeaderField{Name: name, Value: value}) // into memory
		}
	}
	return h.bytes
}

func (h *headerBlock) Write(p []byte) (int, error) {
	h.bytes = append(h.bytes, p...)
	return len(p), nil
}
