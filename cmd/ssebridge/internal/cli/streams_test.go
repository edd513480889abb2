package cli

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/cmd/ssebridge/internal/listen"
)

// headerOf is a PROXY header of version 2 for a client with that address.
func headerOf(client string) string {
	source := netip.MustParseAddr(client).As4()
	return "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + string(source[:]) + "\x0a\x00\x00\x01" + "\x10\x67" + "\x01\xbb"
}

// A connection of a trusted proxy may bring all clients, and any other has the streams of one
// client, by TLS and in clear: each stream takes memory as soon as its head has come.
func TestOnlyTrustedProxiesHaveManyStreams(t *testing.T) {
	const clients = 10_000
	for way, secure := range ways(t) {
		proxied := serveProxied(t, secure, config.Limits{Clients: clients, RequestBytes: config.KiB}, "127.0.0.2/32")
		for name, tc := range map[string]struct {
			from, header string
			want         int
		}{
			"a client":                       {"127.0.0.1", "", ownStreams},
			"a trusted proxy":                {"127.0.0.2", "", maxStreams(clients)},
			"a client by a trusted proxy":    {"127.0.0.2", headerOf("203.0.113.7"), ownStreams},
			"a trusted proxy behind another": {"127.0.0.2", headerOf("127.0.0.2"), maxStreams(clients)},
			"an untrusted peer by a proxy":   {"127.0.0.2", headerOf("127.0.0.1"), ownStreams},
		} {
			t.Run(name+" "+way, func(t *testing.T) {
				dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(tc.from)}}
				conn, err := dialer.DialContext(t.Context(), "tcp", proxied.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer closing(t, conn)
				if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.WriteString(conn, tc.header); err != nil {
					t.Fatal(err)
				}
				if got := allowedStreams(t, conn, secure != nil); got != tc.want {
					t.Errorf("the connection may carry %d streams, want %d", got, tc.want)
				}
			})
		}
	}
}

// ways are a server's: in clear, and by TLS with a certificate.
func ways(t *testing.T) map[string]*tls.Config {
	t.Helper()
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	certified.Close()
	return map[string]*tls.Config{
		"in clear": nil,
		"by TLS":   {MinVersion: tls.VersionTLS12, Certificates: certified.TLS.Certificates},
	}
}

// serveProxied serves behind a listener that trusts these peers, until the test ends.
func serveProxied(t *testing.T, secure *tls.Config, limits config.Limits, trusted ...string) *listen.Proxied {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	proxied := listen.NewProxied(listen.ProxiedParams{Listener: inner, Timeout: time.Minute, Logger: logger})
	networks := make([]netip.Prefix, len(trusted))
	for i, network := range trusted {
		networks[i] = netip.MustParsePrefix(network)
	}
	proxied.Trust(networks)
	serveAll(t, proxied, serverParams{handler: http.NotFoundHandler(), logger: logger, limits: limits, tls: secure, patience: usualPatience()})
	return proxied
}

// serveAll serves the connections of a public listener until the test ends.
func serveAll(t *testing.T, proxied *listen.Proxied, params serverParams) []*endpoint {
	t.Helper()
	s := &starting{proxied: proxied}
	all := s.endpoints(params)
	served := make(chan error, len(all))
	for _, e := range all {
		go func() { served <- e.serve() }()
	}
	t.Cleanup(func() {
		if err := stopAll(t.Context(), all); err != nil {
			t.Error(err)
		}
		for range all {
			if err := <-served; err != nil {
				t.Error(err)
			}
		}
	})
	return all
}

// allowedStreams returns how many streams the server's SETTINGS allow.
func allowedStreams(t *testing.T, conn net.Conn, secure bool) int {
	t.Helper()
	if secure {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http2.NextProtoTLS}})
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	frame, err := framer.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	settings, ok := frame.(*http2.SettingsFrame)
	if !ok {
		t.Fatalf("the first frame is %v", frame)
	}
	streams, _ := settings.Value(http2.SettingMaxConcurrentStreams)
	return int(streams)
}
