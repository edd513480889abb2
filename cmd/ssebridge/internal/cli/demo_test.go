package cli

import (
	"bytes"
	"net"
	"strings"
	"testing"
)

func TestDemoReplacesOnlyAnAddressThatNobodyChose(t *testing.T) {
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
