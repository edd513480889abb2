// Package peer finds the address of a request's client, and whether that address is the
// client's own.
package peer

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/ssebridge/ssebridge/internal/address"
)

// Trust lists the networks of trusted proxies, whose X-Forwarded-For is used.
type Trust []netip.Prefix

// clientKey is the context key of a request's Client.
type clientKey struct{}

// Client is the origin of a request.
type Client struct {
	Addr netip.Addr // invalid if there is none
	// Own is set if the address belongs to one client, or to clients that share it on the
	// Internet: a trusted proxy reports it, or it is the peer's and public. The private
	// address of a peer may belong to a proxy that is missing in trusted_proxies.
	Own bool
	// Proxy is set if the peer is a trusted proxy, or connects over a unix socket.
	Proxy bool
}

// Identify finds the client of a request, and returns the request with it in the context.
func (t Trust) Identify(r *http.Request) *http.Request {
	return With(r, t.from(r))
}

// With returns the request with a client in the context.
func With(r *http.Request, from Client) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), clientKey{}, from))
}

// Of returns the client in a request's context.
func Of(r *http.Request) Client {
	from, _ := r.Context().Value(clientKey{}).(Client)
	return from
}

// HTTP2Conn identifies a request's HTTP/2 connection by the peer's address and port. It is
// empty on HTTP/1, where a connection has one request at a time.
func HTTP2Conn(r *http.Request) string {
	if r.ProtoMajor < 2 {
		return ""
	}
	return r.RemoteAddr
}

// Forwarded reports whether a trusted proxy has forwarded a request.
func Forwarded(r *http.Request) bool {
	peer, _ := hostAddr(r.RemoteAddr)
	return peer != Of(r).Addr
}

// Disbelieved reports whether a request has an X-Forwarded-For that is ignored, because the
// peer is not trusted.
func Disbelieved(r *http.Request) bool { return !Forwarded(r) && r.Header.Get("X-Forwarded-For") != "" }

// from returns the client of a request.
func (t Trust) from(r *http.Request) Client {
	addr := t.client(r)
	peer, known := hostAddr(r.RemoteAddr)
	trusted := known && t.includes(peer)
	if known && addr == peer {
		return Client{addr, !trusted && address.Public(peer), trusted}
	}
	return Client{addr, addr.IsValid() && !t.includes(addr), trusted || OverUnix(r)}
}

// maxHops bounds how many entries of X-Forwarded-For are read. No deployment has more
// proxies in a row; further entries are a client's forgery.
const maxHops = 64

// client returns the address of a request's client: the peer's or, if the peer is trusted,
// the rightmost one in X-Forwarded-For that is not trusted. Entries that a client forges
// stand further to the left and are never reached. An entry that is not an address ends the
// search, with the address to its right: no trusted peer reports another. IPv4-mapped IPv6
// addresses become IPv4; zones and ports are removed.
//
// A peer on a unix socket has no address. It is trusted if trusted_proxies is not empty,
// because the socket's file mode decides which processes may connect. The result is invalid
// if no address is known.
func (t Trust) client(r *http.Request) netip.Addr {
	addr, known := hostAddr(r.RemoteAddr)
	if known && !t.includes(addr) || !known && (len(t) == 0 || !OverUnix(r)) {
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

func (t Trust) includes(addr netip.Addr) bool {
	for _, prefix := range t {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// lastEntry splits the last entry from a comma-separated list.
func lastEntry(line string) (rest, entry string, more bool) {
	if i := strings.LastIndexByte(line, ','); i >= 0 {
		return line[:i], strings.Trim(line[i+1:], " \t"), true
	}
	return "", strings.Trim(line, " \t"), false
}

// hostAddr parses an address with or without a port, in the forms of RemoteAddr and of
// proxies.
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

// OverUnix reports whether a request arrived over a unix socket.
func OverUnix(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && local.Network() == "unix"
}
