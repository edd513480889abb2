package peer

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func trusting(networks ...string) Trust {
	var t Trust
	for _, network := range networks {
		t = append(t, netip.MustParsePrefix(network))
	}
	return t
}

// from returns a request of a peer, with lines of X-Forwarded-For.
func from(peer string, lines ...string) *http.Request {
	r := &http.Request{RemoteAddr: peer, Header: http.Header{}}
	for _, line := range lines {
		r.Header.Add("X-Forwarded-For", line)
	}
	return r
}

func overSocket(r *http.Request) *http.Request {
	r.RemoteAddr = "@"
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.UnixAddr{Name: "/run/s.sock", Net: "unix"}))
}

func TestClientIsTheRightmostUntrustedAddress(t *testing.T) {
	proxies := trusting("10.0.0.0/8", "fd00::/8", "192.0.2.1/32")
	for _, tc := range []struct {
		name    string
		trusted Trust
		request *http.Request
		want    string
	}{
		{"no peer is trusted", nil, from("10.0.0.1:1", "203.0.113.7"), "10.0.0.1"},
		{"the peer is not trusted", proxies, from("198.51.100.1:1", "203.0.113.7"), "198.51.100.1"},
		{"one proxy", proxies, from("10.0.0.1:1", "203.0.113.7"), "203.0.113.7"},
		{"entries that the client forged", proxies, from("10.0.0.1:1", "127.0.0.1, 10.9.9.9, 203.0.113.7"), "203.0.113.7"},
		{"two proxies", proxies, from("10.0.0.1:1", "203.0.113.7, 192.0.2.1"), "203.0.113.7"},
		{"a proxy next to the trusted one", proxies, from("10.0.0.1:1", "203.0.113.7, 192.0.2.2"), "192.0.2.2"},
		{"all are trusted", proxies, from("10.0.0.1:1", "10.0.0.3, 10.0.0.2"), "10.0.0.3"},
		{"several lines", proxies, from("10.0.0.1:1", "198.51.100.9", "203.0.113.7", "10.0.0.2"), "203.0.113.7"},
		{"no spaces, and tabs", proxies, from("10.0.0.1:1", "203.0.113.7,10.0.0.2\t,\t10.0.0.3 "), "203.0.113.7"},
		{"no header", proxies, from("10.0.0.1:1"), "10.0.0.1"},
		{"an empty header", proxies, from("10.0.0.1:1", ""), "10.0.0.1"},
		{"an empty entry", proxies, from("10.0.0.1:1", "203.0.113.7,,10.0.0.2"), "10.0.0.2"},
		{"garbage", proxies, from("10.0.0.1:1", "203.0.113.7, unknown"), "10.0.0.1"},
		{"garbage further left", proxies, from("10.0.0.1:1", "203.0.113.7, <script>, 10.0.0.2"), "10.0.0.2"},
		{"a port", proxies, from("10.0.0.1:1", "203.0.113.7:4711"), "203.0.113.7"},
		{"IPv6", proxies, from("[fd00::1]:1", "2001:db8::7"), "2001:db8::7"},
		{"IPv6 in brackets", proxies, from("[fd00::1]:1", "[2001:db8::7]"), "2001:db8::7"},
		{"IPv6 with a port", proxies, from("[fd00::1]:1", "[2001:db8::7]:4711"), "2001:db8::7"},
		{"a zone", trusting("fe80::/10"), from("[fe80::1%eth0]:1", "203.0.113.7"), "203.0.113.7"},
		{"a zone in the header", proxies, from("10.0.0.1:1", "fe80::7%25evil"), "fe80::7"},
		{"IPv4 in IPv6", proxies, from("[::ffff:10.0.0.1]:1", "::ffff:203.0.113.7"), "203.0.113.7"},
		{"no port", proxies, from("10.0.0.1", "203.0.113.7"), "203.0.113.7"},
		{"brackets around a port", proxies, from("10.0.0.1:1", "[203.0.113.7:1]"), "10.0.0.1"},
		{"all networks are trusted", trusting("0.0.0.0/0"), from("198.51.100.1:1", "203.0.113.7, 203.0.113.8"), "203.0.113.7"},
		{"a unix peer", proxies, overSocket(from("", "203.0.113.7")), "203.0.113.7"},
		{"a unix peer without the header", proxies, overSocket(from("")), "invalid IP"},
		{"a unix peer where none is trusted", nil, overSocket(from("", "203.0.113.7")), "invalid IP"},
		{"a name where an address should be", proxies, from("middleware", "203.0.113.7"), "invalid IP"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.trusted.client(tc.request); got.String() != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// A client may fill the header up to the server's limit of a request's head.
func TestABoundedNumberOfForwardedEntriesIsRead(t *testing.T) {
	proxies := trusting("10.0.0.0/8")
	long := "203.0.113.7" + strings.Repeat(",10.0.0.2", 10_000)
	if got := proxies.client(from("10.0.0.1:1", long)).String(); got != "10.0.0.2" {
		t.Errorf("got %s", got)
	}
	r := from("10.0.0.1:1")
	for range maxHops {
		r.Header.Add("X-Forwarded-For", "10.0.0.3")
	}
	r.Header["X-Forwarded-For"][0] = "203.0.113.7"
	if got := proxies.client(r).String(); got != "203.0.113.7" {
		t.Errorf("the last entry that is read: got %s", got)
	}
	if allocs := testing.AllocsPerRun(10, func() { proxies.client(r) }); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// The entries that proxies append decide, whatever the client sends.
func TestClientCannotChooseItsAddress(t *testing.T) {
	proxies := trusting("10.0.0.0/8")
	rapid.Check(t, func(t *rapid.T) {
		own := rapid.SliceOfN(rapid.StringMatching(`[0-9a-f.:,\[\]% ]{0,40}`), 0, 3).Draw(t, "own")
		r := from("10.0.0.1:1", own...)
		r.Header.Add("X-Forwarded-For", rapid.SampledFrom([]string{"", "10.0.0.1, ", ", "}).Draw(t, "before")+"203.0.113.7, 10.0.0.2")
		if got := proxies.client(r).String(); got != "203.0.113.7" {
			t.Fatalf("got %s from %q", got, r.Header)
		}
	})
}

// A private address may belong to an ingress that is missing in trusted_proxies.
func TestWhichAddressesAreAClientsOwn(t *testing.T) {
	proxies := Trust{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("198.51.100.7/32")}
	for _, test := range []struct {
		peer, forwarded string
		own             bool
	}{
		{"203.0.113.5:1", "", true},
		{"[2001:db8::1]:1", "", true},
		{"203.0.113.5:1", "192.0.2.1", true}, // the header is ignored
		{"192.168.1.1:1", "", false},         // may be an ingress
		{"192.168.1.1:1", "203.0.113.5", false},
		{"127.0.0.1:1", "", false},
		{"100.64.1.1:1", "", false},
		{"[fd00::1]:1", "", false},
		{"[fe80::1]:1", "", false},
		{"10.1.2.3:1", "", false}, // a trusted proxy that names no client
		{"198.51.100.7:1", "", false},
		{"10.1.2.3:1", "203.0.113.5", true},
		{"10.1.2.3:1", "192.168.1.1", true}, // a client in the company's network
		{"10.1.2.3:1", "10.9.9.9", false},
		{"@", "", false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = test.peer
		if test.forwarded != "" {
			r.Header.Set("X-Forwarded-For", test.forwarded)
		}
		if got := proxies.from(r).Own; got != test.own {
			t.Errorf("from %s for %q: own %t", test.peer, test.forwarded, got)
		}
	}
}
