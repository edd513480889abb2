// Package address says what an IP address stands for where a limit is counted by address.
package address

import "net/netip"

// cgnat is the address space of carriers' NAT (RFC 6598), which is as private as those of
// RFC 1918.
var cgnat = netip.MustParsePrefix("100.64.0.0/10") //nolint:gochecknoglobals // never changes

// Public reports whether an address is one of the Internet: it stands for one client, or
// for those that share it there. A private one may be that of a proxy, with all of its clients.
func Public(addr netip.Addr) bool {
	return addr.IsGlobalUnicast() && !addr.IsPrivate() && !cgnat.Contains(addr)
}

// Key returns what a limit by address is counted by: the IPv4 address, or the IPv6 /64,
// since one host usually owns a whole /64. The key of the invalid address, that of a peer
// on a unix socket, is invalid: these peers count as one.
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
