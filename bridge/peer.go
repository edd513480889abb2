package bridge

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/ssebridge/ssebridge/internal/address"
)

// trust is the networks of the proxies in front, whose X-Forwarded-For is
// believed.
type trust []netip.Prefix

// clientKey is the client's address in a request's context.
type clientKey struct{}

// identified returns the request with its client's address in the context, by the
// configuration that holds when the request comes.
func (b *Bridge) identified(r *http.Request) *http.Request {
	from := trust(b.site.Load().config.TrustedProxies).from(r)
	return r.WithContext(context.WithValue(r.Context(), clientKey{}, from))
}

// client is where a request comes from.
type client struct {
	addr netip.Addr // invalid where there is none
	// own is set where the address stands for one client, or for those that share it in the
	// Internet: a trusted proxy has named it, or it is public and the peer's. A private one
	// may be that of a proxy that is not in trusted_proxies.
	own bool
	// proxy is set where the peer is a trusted proxy, or that of a unix socket.
	proxy bool
}

// from returns where a request comes from.
func (t trust) from(r *http.Request) client {
	addr := t.client(r)
	peer, known := hostAddr(r.RemoteAddr)
	trusted := known && t.includes(peer)
	if known && addr == peer {
		return client{addr, !trusted && address.Public(peer), trusted}
	}
	return client{addr, addr.IsValid() && !t.includes(addr), trusted || overUnix(r)}
}

// clientOf returns where a request that was identified comes from.
func clientOf(r *http.Request) client {
	from, _ := r.Context().Value(clientKey{}).(client)
	return from
}

// clientAddr returns the address of a request's client. It is invalid where there is
// none.
func clientAddr(r *http.Request) netip.Addr {
	return clientOf(r).addr
}

// maxHops is how many entries of X-Forwarded-For are looked at. No deployment has
// so many proxies of its own, and the rest is made up by a client.
const maxHops = 64

// client returns the address that a request comes from: the peer's or, when the
// peer is trusted, the rightmost one in X-Forwarded-For that is not. Entries that a
// client writes itself stand further to the left and are never reached. An entry
// that is no address ends the walk: the address before it is the last that a
// trusted peer has vouched for. IPv4 in IPv6 is IPv4, zones and ports are left out.
//
// A peer on a unix socket has no address. It is trusted if any peer is: the mode of
// the socket's file decides who may connect. Where no address is named, the result
// is invalid.
func (t trust) client(r *http.Request) netip.Addr {
	addr, known := hostAddr(r.RemoteAddr)
	if known && !t.includes(addr) || !known && (len(t) == 0 || !overUnix(r)) {
		return addr
	}
	lines := r.Header.Values("X-Forwarded-For")
	hops := 0
	for _, line := range slices.Backward(lines) { // the last line is the nearest proxy's
		for more := true; more; hops++ {
			if hops == maxHops {
				return addr
			}
			var entry string
			line, entry, more = lastEntry(line)
			named, ok := hostAddr(entry)
			if !ok {
				return addr
			}
			addr = named
			if !t.includes(addr) {
				return addr
			}
		}
	}
	return addr
}

func (t trust) includes(addr netip.Addr) bool {
	for _, prefix := range t {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// lastEntry takes the last entry off a list of them.
func lastEntry(line string) (rest, entry string, more bool) {
	if i := strings.LastIndexByte(line, ','); i >= 0 {
		return line[:i], strings.Trim(line[i+1:], " \t"), true
	}
	return "", strings.Trim(line, " \t"), false
}

// hostAddr reads an address with or without a port, as RemoteAddr and proxies
// write it.
func hostAddr(text string) (netip.Addr, bool) {
	var addr netip.Addr
	var err error
	inside, brackets := strings.CutPrefix(text, "[")
	switch {
	case brackets && strings.HasSuffix(inside, "]"):
		addr, err = netip.ParseAddr(strings.TrimSuffix(inside, "]"))
	case brackets, strings.Count(text, ":") == 1:
		var withPort netip.AddrPort
		withPort, err = netip.ParseAddrPort(text)
		addr = withPort.Addr()
	default:
		addr, err = netip.ParseAddr(text)
	}
	if err != nil {
		return netip.Addr{}, false
	}
	return addr.Unmap().WithZone(""), true
}

// overUnix reports whether a request came over a unix socket.
func overUnix(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && local.Network() == "unix"
}
