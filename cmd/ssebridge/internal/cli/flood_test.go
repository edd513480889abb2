package cli

import (
	"bytes"
	"crypto/tls"
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
	for way, secure := range ways(t) {
		t.Run(way, func(t *testing.T) {
			inner, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			logger := slog.New(slog.DiscardHandler)
			proxied := listen.NewProxied(listen.ProxiedParams{Listener: inner, Timeout: time.Minute, Logger: logger})
			proxied.Trust([]netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")})
			const perSecond = 20
			proxied.LimitPace(listen.PaceLimits{Requests: perSecond, RequestsOwnOnly: true})
			var read, served atomic.Int64
			paced := proxied.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) }))
			handler := func(w http.ResponseWriter, r *http.Request) {
				read.Add(1)
				paced.ServeHTTP(w, r)
			}
			serveAll(t, proxied, serverParams{
				handler: http.HandlerFunc(handler), logger: logger, limits: config.Config{}.WithDefaults().Limits, patience: usualPatience(), tls: secure,
			})
			conn, err := net.Dial("tcp", proxied.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer closing(t, conn)
			if _, err := io.WriteString(conn, headerOf("203.0.113.7")); err != nil {
				t.Fatal(err)
			}
			if secure != nil {
				conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http2.NextProtoTLS}})
			}
			if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = io.Copy(io.Discard, conn) }() // until it is closed
			framer := http2.NewFramer(conn, nil)
			if err := framer.WriteSettings(); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			const lasts = 3 * time.Second
			if err := conn.SetDeadline(begun.Add(lasts)); err != nil {
				t.Fatal(err)
			}
			sent := flood(conn)
			took := time.Since(begun)
			// What is read while the pause is being noticed is held back, or it is served too.
			most := int64((took.Seconds()+address.Burst)*perSecond) + 2*ownStreams
			if served.Load() > most || sent < 2*int(most) {
				t.Errorf("%d of %d requests were served in %v, want at most %d", served.Load(), sent, took, most)
			}
			if secure != nil {
				most += 4 * perRecord // each is read whole
			}
			if read.Load() > most {
				t.Errorf("%d of %d requests were read in %v, want at most %d", read.Load(), sent, took, most)
			}
		})
	}
}

// perRecord is how many streams a record of TLS can open and reset: 16 KiB, in frames of 14
// and of 13 bytes.
const perRecord = 16 << 10 / (14 + 13)

// flood opens and resets streams until the deadline, or until the bridge hangs up. It fills
// whole records of TLS, so that each brings as many as it can. It returns how many.
func flood(conn net.Conn) int {
	var head headerBlock
	var all bytes.Buffer
	framer := http2.NewFramer(&all, nil)
	sent := 0
	for stream := uint32(1); ; {
		for all.Reset(); all.Len() < 16<<10; stream += 2 {
			_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: head.request(), EndStream: true, EndHeaders: true})
			_ = framer.WriteRSTStream(stream, http2.ErrCodeCancel) // both into memory
			sent++
		}
		if _, err := conn.Write(all.Bytes()); err != nil {
			return sent
		}
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
