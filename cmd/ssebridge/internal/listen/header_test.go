package listen

import (
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
)

// proxyHeader is a header as proxies write it, with some bytes of extensions.
func proxyHeader(command, family byte, addresses string, extensions int) string {
	rest := addresses + strings.Repeat("\x04", extensions)
	head := append([]byte(signature), version2<<4|command, family)
	return string(binary.BigEndian.AppendUint16(head, uint16(len(rest)))) + rest
}

// addresses4 are a source and a destination of IPv4, with their ports.
const addresses4 = "\xcb\x00\x71\x07" + "\x0a\x00\x00\x01" + "\x10\x67" + "\x01\xbb"

// client4 is the source in them.
const client4 = "203.0.113.7:4199"

var addresses6 = func() string {
	source, mapped := netip.MustParseAddr("2001:db8::7").As16(), netip.MustParseAddr("::1").As16()
	return string(source[:]) + string(mapped[:]) + "\x10\x67" + "\x01\xbb"
}()

func TestHeaderIsReadToItsLastByte(t *testing.T) {
	mapped := netip.MustParseAddr("::ffff:203.0.113.7").As16()
	for name, tc := range map[string]struct{ header, want string }{
		"IPv4":                 {proxyHeader(proxy, tcp4, addresses4, 0), client4},
		"IPv4 with extensions": {proxyHeader(proxy, tcp4, addresses4, 300), client4},
		"IPv6":                 {proxyHeader(proxy, tcp6, addresses6, 0), "[2001:db8::7]:4199"},
		"IPv4 in IPv6":         {proxyHeader(proxy, tcp6, string(mapped[:])+addresses6[16:], 0), client4},
		"as long as may be":    {proxyHeader(proxy, tcp4, addresses4, maxRest-len(addresses4)), client4},
		"the proxy itself":     {proxyHeader(local, 0, "", 0), "invalid AddrPort"},
		"itself, with more":    {proxyHeader(local, tcp4, addresses4, 9), "invalid AddrPort"},
		"unspecified":          {proxyHeader(proxy, 0, "", 20), "invalid AddrPort"},
		"a unix socket":        {proxyHeader(proxy, 0x31, strings.Repeat("/", 216), 0), "invalid AddrPort"},
		"datagrams":            {proxyHeader(proxy, 0x12, addresses4, 0), "invalid AddrPort"},
	} {
		t.Run(name, func(t *testing.T) {
			in := strings.NewReader(tc.header + "GET / HTTP/1.1\r\n")
			got, err := takeHeader(in)
			if err != nil || got.String() != tc.want {
				t.Errorf("got %v, %v, want %s", got, err, tc.want)
			}
			if rest, _ := io.ReadAll(in); string(rest) != "GET / HTTP/1.1\r\n" {
				t.Errorf("left is %q", rest)
			}
		})
	}
}

func TestHeaderThatIsNone(t *testing.T) {
	good := proxyHeader(proxy, tcp4, addresses4, 0)
	for name, tc := range map[string]struct {
		header string
		want   error
	}{
		"version 1 in the signature": {signature + "\x11\x11\x00\x00", errHeader},
		"version 3":                  {signature + "\x31\x11\x00\x00", errHeader},
		"an unknown command":         {signature + "\x22\x11\x00\x00", errHeader},
		"another signature":          {"\r\n\r\n\x00\r\nQUIX\n" + good[12:], errHeader},
		"too long":                   {proxyHeader(proxy, tcp4, addresses4, maxRest), errHeader},
		"addresses that are cut":     {proxyHeader(proxy, tcp4, addresses4[:11], 0), errHeader},
		"the wrong family's":         {proxyHeader(proxy, tcp6, addresses4, 0), errHeader},
		"cut in its first part":      {good[:14], io.ErrUnexpectedEOF},
		"cut in its addresses":       {good[:20], io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := takeHeader(strings.NewReader(tc.header)); !errors.Is(err, tc.want) || got.IsValid() {
				t.Errorf("got %v, %v, want %v", got, err, tc.want)
			}
		})
	}
}

func FuzzHeader(f *testing.F) {
	f.Add(proxyHeader(proxy, tcp4, addresses4, 3))
	f.Add(proxyHeader(proxy, tcp6, addresses6, 0))
	f.Add(proxyHeader(local, 0, "", 0))
	f.Fuzz(func(t *testing.T, header string) {
		in := strings.NewReader(header)
		got, err := takeHeader(in)
		if read := len(header) - in.Len(); read > fixedPart+maxRest || err != nil && got.IsValid() {
			t.Errorf("%d bytes were read; got %v, %v", read, got, err)
		}
	})
}
