package listen

import (
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
)

// A flood takes descriptors up to the ceiling; those above are left, and when it ends there is room again.
func TestFloodLeavesDescriptors(t *testing.T) {
	proxied, log := behind(t, tcp(t), time.Minute, nil, nil)
	if code, _ := get(t, dial(t, proxied), ""); code != http.StatusOK {
		t.Fatalf("without a bound: %d", code)
	}
	proxied.Bound(1) // there is none below
	for range 3 {
		conn := dial(t, proxied)
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); n > 0 || os.IsTimeout(err) || err == nil {
			t.Fatalf("got %d bytes, %v", n, err)
		}
	}
	if n := strings.Count(log.String(), "raise it (ulimit -n"); n != 1 {
		t.Errorf("told %d times:\n%s", n, log)
	}
	proxied.Bound(1 << 20)
	if code, _ := get(t, dial(t, proxied), ""); code != http.StatusOK {
		t.Errorf("with room: %d", code)
	}
}

func TestDescriptorsAreNumbered(t *testing.T) {
	listener := tcp(t)
	defer closing(t, listener)
	dial(t, listener)
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, conn)
	if number, known := descriptorOf(conn); !known || number < 3 {
		t.Errorf("got %d, %v", number, known)
	}
	one, other := net.Pipe()
	defer closing(t, one)
	defer closing(t, other)
	if _, known := descriptorOf(one); known {
		t.Error("a pipe in memory has a descriptor")
	}
	if _, err := io.WriteString(conn, "still there"); err != nil {
		t.Error(err)
	}
}

// Where clients fit, as many fit below the ceiling, with those that come and go; and something is left above it.
func TestCeilingHasRoomForClients(t *testing.T) {
	upstreams := map[string]config.Upstream{"a": {}, "b": {Connections: 7}}
	for _, limit := range []uint64{200, 300, 1024} {
		allowed(t, limit)
		cfg, _, err := Fit(config.Config{Upstreams: upstreams})
		if err != nil {
			t.Fatal(err)
		}
		clients := cfg.WithDefaults().Limits.Clients
		if got := Ceiling(cfg); got < clients*(100+passing)/100+reserved/2 || got > int(limit)-reserved/2 {
			t.Errorf("of %d descriptors %d clients may have those below %d", limit, clients, got)
		}
	}
}
