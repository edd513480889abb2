package h2c

import (
	"context"
	"net"
	"net/http"
	"testing"

	"golang.org/x/net/http2"
)

// How many streams a connection may carry depends on its peer.
func TestStreamsByPeer(t *testing.T) {
	s, addr := start(t, newHeld(), nil)
	s.Streams = func(_ context.Context, peer net.Addr) int {
		if tcp, ok := peer.(*net.TCPAddr); ok && tcp.IP.Equal(net.IPv4(127, 0, 0, 2)) {
			return 500
		}

		return 25
	}
	for from, want := range map[string]uint32{"127.0.0.1": 25, "127.0.0.2": 500} {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := dialer.DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		client, err := new(http2.Transport).NewClientConn(conn) //nolint:staticcheck // only it tells how many streams there may be
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/now", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if got := client.State().MaxConcurrentStreams; got != want {
			t.Errorf("a connection from %s may carry %d streams, want %d", from, got, want)
		}
		_ = client.Close()
	}
}
