package http2server

import (
	"context"
	"net"
	"net/http"
	"testing"

	"golang.org/x/net/http2"
)

// The number of streams that a connection may carry depends on its peer and on its context.
func TestStreamsByConnection(t *testing.T) {
	bothWays(t, func(t *testing.T, start func(http.Handler, func(*http.Server)) site) {
		s := start(newHeld(), nil)
		s.Streams = func(ctx context.Context, peer net.Addr) int {
			if who := ctx.Value(whoKey{}); who != "somebody" {
				t.Errorf("the context is of %v", who)
			}
			if tcp, ok := peer.(*net.TCPAddr); ok && tcp.IP.Equal(net.IPv4(127, 0, 0, 2)) {
				return 500
			}

			return 25
		}
		for from, want := range map[string]uint32{"127.0.0.1": 25, "127.0.0.2": 500} {
			if got := streams(t, s.dialFrom(t, from), s.url("/now")); got != want {
				t.Errorf("a connection from %s may carry %d streams, want %d", from, got, want)
			}
		}
	})
}

// streams returns how many streams a connection of HTTP/2 may carry.
func streams(t *testing.T, conn net.Conn, url string) uint32 {
	t.Helper()
	client, err := new(http2.Transport).NewClientConn(conn) //nolint:staticcheck // only it tells how many streams there may be
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // nothing is to be written
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()

	return client.State().MaxConcurrentStreams
}
