// Package peer tells where a request comes from: the address of its client, and whether that
// address stands for one client.
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

// Trust is the networks of the proxies in front, whose X-Forwarded-For is believed.
type Trust []netip.Prefix

// clientKey is the client in a request's context.
type clientKey struct{}

// Client is where a request comes from.
type Client struct {
	Addr netip.Addr // invalid where there is none
	// Own is set where the address stands for one client, or for the clients that share it
	// on the Internet: a trusted proxy has named it, or it is public and the peer's. A
	// private address may be that of a proxy that is not in trusted_proxies.
	Own bool
	// Proxy is set where the peer is a trusted proxy, or a process at a unix socket.
	Proxy bool
}

// Identify returns the request with its client in the context.
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

// HTTP2Conn names a request's connection of HTTP/2 by the peer's address. It is empty on
// HTTP/1, where a connection has one request at a time.
func HTTP2Conn(r *http.Request) string {
	if r.ProtoMajor < 2 {
		return ""
	}
	return r.RemoteAddr
}

// Forwarded reports whether a trusted proxy speaks for a request's client.
func Forwarded(r *http.Request) bool {
	peer, _ := hostAddr(r.RemoteAddr)
	return peer != Of(r).Addr
}

// Disbelieved reports whether a request has X-Forwarded-For from a peer that is not trusted.
func Disbelieved(r *http.Request) bool { return !Forwarded(r) && r.Header.Get("X-Forwarded-For") != "" }

// from returns where a request comes from.
func (t Trust) from(r *http.Request) Client {
	addr := t.client(r)
	peer, known := hostAddr(r.RemoteAddr)
	trusted := known && t.includes(peer)
	if known && addr == peer {
		return Client{addr, !trusted && address.Public(peer), trusted}
	}
	return Client{addr, addr.IsValid() && !t.includes(addr), trusted || OverUnix(r)}
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

// OverUnix reports whether a request came over a unix socket.
func OverUnix(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && local.Network() == "unix"
}
