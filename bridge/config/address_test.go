package config

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]Address{
		"127.0.0.1:8080":                      {Network: "tcp", Address: "127.0.0.1:8080"},
		":0":                                  {Network: "tcp", Address: ":0"},
		"[::1]:80":                            {Network: "tcp", Address: "[::1]:80"},
		"unix:///run/s.sock":                  {Network: "unix", Address: "/run/s.sock", Mode: 0o660},
		"unix:///run/s.sock?mode=0666":        {Network: "unix", Address: "/run/s.sock", Mode: 0o666},
		"unix:///run/s.sock?mode=600":         {Network: "unix", Address: "/run/s.sock", Mode: 0o600},
		"unix:///" + strings.Repeat("a", 102): {Network: "unix", Address: "/" + strings.Repeat("a", 102), Mode: 0o660},
		"unix:///run/a b.sock?mode=0777":      {Network: "unix", Address: "/run/a b.sock", Mode: 0o777},
		"unix:///run/100%25.sock":             {Network: "unix", Address: "/run/100%25.sock", Mode: 0o660},
	} {
		if got, err := ParseAddress(text); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "host", "host:70000", "a b:1", "/run/s.sock", "unix:", "unix:///", "unix://run/s.sock", "unix:/run/s.sock", "unix:////run/s",
		"unix:///run/../s", "unix:///run//s", "unix:///run/", "unix:///run/\x00s", "unix:///" + strings.Repeat("a", 103),
		"unix:///s?", "unix:///s?mode=", "unix:///s?mode=888", "unix:///s?mode=0", "unix:///s?mode=-1", "unix:///s?mode=1777", "unix:///s?mod=1",
	} {
		if got, err := ParseAddress(text); err == nil || got != (Address{}) {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}

func TestParsePrefix(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3": "10.1.2.3/32", "fd00::/8": "fd00::/8", "::1": "::1/128", "0.0.0.0/0": "0.0.0.0/0",
		"::ffff:10.0.0.0/104": "10.0.0.0/8", "::ffff:10.1.2.3": "10.1.2.3/32",
	} {
		if got, err := ParsePrefix(text); err != nil || got != netip.MustParsePrefix(want) {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "10.0.0.1/8", "10.0.0.0/33", "fe80::1%eth0", "fe80::%eth0/64", "localhost", "10.0.0.0/", "10.0.0.0/08", "010.0.0.1"} {
		if got, err := ParsePrefix(text); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

func TestValidatePrefixesFilledInGo(t *testing.T) {
	file, err := Parse("app.yaml", []byte(minimal+"trusted_proxies: [10.0.0.0/8, \"${NET}\"]\n"), lookupIn(map[string]string{"NET": "192.0.2.1"}))
	if err != nil {
		t.Fatal(err)
	}
	c := file.Config
	if len(c.TrustedProxies) != 2 || c.TrustedProxies[1].String() != "192.0.2.1/32" {
		t.Fatalf("got %v", c.TrustedProxies)
	}
	c.TrustedProxies = append(c.TrustedProxies, netip.Prefix{})
	if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "trusted_proxies[2]: must be a network") {
		t.Errorf("got %v", err)
	}
}
