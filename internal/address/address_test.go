package address

import (
	"net/netip"
	"testing"
)

func TestPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"203.0.113.5": true, "2001:db8::1": true, "10.1.2.3": false, "192.168.1.1": false, "172.16.0.1": false, "100.64.1.1": false, "100.128.0.1": true,
		"127.0.0.1": false, "::1": false, "fd00::1": false, "fe80::1": false, "224.0.0.1": false,
	} {
		if got := Public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: public %t", text, got)
		}
	}
	if Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

func TestKey(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1":              "192.0.2.1",
		"2001:db8::1":            "2001:db8::",
		"2001:db8:0:0:ffff::":    "2001:db8::",
		"2001:db8:0:1:ffff::":    "2001:db8:0:1::",
		"::1":                    "::",
		"fe80::1234:5678:9abc:1": "fe80::",
	} {
		if got := Key(netip.MustParseAddr(addr)); got != netip.MustParseAddr(want) {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
	if Key(netip.Addr{}).IsValid() {
		t.Error("the invalid address has a valid key")
	}
}
