// Package address says what an IP address stands for where a limit is counted by address.
package address

import "net/netip"

// cgnat is the address space of carriers' NAT (RFC 6598). It is as private as those of RFC 1918.
var cgnat = netip.MustParsePrefix("100.64.0.0/10") //nolint:gochecknoglobals // never changes

// Public reports whether an address is public: it belongs to one client, or to those that share it.
// A private one may belong to a proxy with all of its clients.
func Public(addr netip.Addr) bool {
	return addr.IsGlobalUnicast() && !addr.IsPrivate() && !cgnat.Contains(addr)
}

// Key returns the key of a limit by address: the IPv4 address, or the IPv6 /64, since one host
// usually owns a whole /64. The key of the invalid address, which is that of a peer on a Unix
// socket, is invalid: such peers share one limit.
func Key(addr netip.Addr) netip.Addr {
	if !addr.Is6() {
		return addr
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		panic(err) // 64 is within 128
	}
	return prefix.Addr()
}
