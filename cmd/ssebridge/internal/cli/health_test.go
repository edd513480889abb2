package cli

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/ssebridge/ssebridge/bridge/config"
)

// A container of one program has no file that says who localhost is.
func TestHealthAsksNobodyWhoThisIs(t *testing.T) {
	own := []string{"127.0.0.1:9901", "[::1]:9901"}
	for address, want := range map[string][]string{
		":9901": own, "0.0.0.0:9901": own, "[::]:9901": own, "localhost:9901": own,
		"127.0.0.1:9901": {"127.0.0.1:9901"}, "10.0.0.1:9901": {"10.0.0.1:9901"},
		"unix:///run/admin.sock": {"/run/admin.sock"},
	} {
		where, err := config.ParseAddress(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := fromHere(where); !slices.Equal(got, want) {
			t.Errorf("%s: %q", address, got)
		}
	}
}

// Where nobody answers, both are told.
func TestHealthTriesBothFamilies(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err := errors.Join(err, listener.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = askAdmin(t.Context(), ":"+port, "/healthz")
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:"+port) || !strings.Contains(err.Error(), "[::1]:"+port) {
		t.Errorf("got %v", err)
	}
}
