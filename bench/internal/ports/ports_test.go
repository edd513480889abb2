package ports

import (
	"net"
	"testing"
)

func TestNoAddressIsGivenTwice(t *testing.T) {
	var free Free
	seen := map[string]bool{}
	for range 500 {
		addr, err := free.Next()
		if err != nil {
			t.Fatal(err)
		}
		if seen[addr] {
			t.Fatalf("%s is given twice", addr)
		}
		seen[addr] = true
	}
}

func TestAnAddressHasNoListener(t *testing.T) {
	var free Free
	for range 50 {
		addr, err := free.Next()
		if err != nil {
			t.Fatal(err)
		}
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
	}
}
