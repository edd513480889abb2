package cli

import (
	"bytes"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

func TestDemoReplacesOnlyItsDefaultAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, taken)
	address := taken.Addr().String()

	var out bytes.Buffer
	free, err := listenDemo(t.Context(), &out, address, false)
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, free)
	if got := out.String(); got != address+" is taken; using a free port.\n" || free.Addr().String() == address {
		t.Errorf("%q, on %s", got, free.Addr())
	}

	if _, err := listenDemo(t.Context(), &out, address, true); err == nil || !strings.Contains(err.Error(), "--listen: cannot listen on "+address) {
		t.Errorf("got %v", err)
	}
}

func TestDemoNamesAnAddressThatABrowserCanOpen(t *testing.T) {
	for ip, want := range map[string]string{"127.0.0.1": "127.0.0.1:80", "0.0.0.0": "localhost:80", "::": "localhost:80", "::1": "[::1]:80"} {
		if got := reachable(&net.TCPAddr{IP: net.ParseIP(ip), Port: 80}); got != want {
			t.Errorf("%s: %s, want %s", ip, got, want)
		}
	}
}

// The demo counts like any bridge, and shows it on a listener of its own.
func TestDemoHasMetrics(t *testing.T) {
	r := start(t, "demo", "--listen", "127.0.0.1:0")
	_, admin, _ := strings.Cut(r.stdout.await(t, "Metrics", "/metrics"), "http://")
	admin, _, _ = strings.Cut(admin, "/")
	_, page, _ := strings.Cut(r.stdout.await(t, "Open"), "http://")
	page = "http://" + strings.TrimSpace(page)
	client := ssetest.Connect(t, page+"clock", ssetest.Options{})
	client.AwaitMessages(1)
	if got := scraped(t, admin, `ssebridge_messages_received_total{route="/clock"}`); got == "0" {
		t.Error("nothing is counted")
	}
	answer, err := http.Get(page + "metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, answer.Body)
	if answer.StatusCode != http.StatusNotFound {
		t.Errorf("the page's users get %s", answer.Status)
	}
}
