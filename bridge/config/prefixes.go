package config

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
)

// Prefixes are networks of IP addresses, in YAML a list of CIDRs and single addresses.
type Prefixes []netip.Prefix

var errPrefix = errors.New("must be a network such as 10.0.0.0/8 or fd00::/8, or an IP address")

// ParsePrefix reads a CIDR without host bits, or an IP address, which is a network of one. It returns
// IPv4-mapped IPv6 as IPv4 and refuses zones.
func ParsePrefix(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return netip.Prefix{}, errPrefix
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, errPrefix
	}
	const mapped = 96 // bits of ::ffff:0:0
	if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= mapped {
		prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-mapped)
	}
	if prefix != prefix.Masked() {
		return netip.Prefix{}, errors.New("must be the network's own address: the bits behind its length are not zero")
	}
	return prefix, nil
}

// decodeNode decodes a list of networks.
func (p *Prefixes) decodeNode(d *decoder, n *node, at place) {
	if n.kind != kindList {
		d.fail(d.shown(n, at), at.path, "must be a list of networks, such as [10.0.0.0/8], not "+n.kind.String())
		return
	}
	*p = make(Prefixes, len(n.items))
	for i, item := range n.items {
		here := at.index(i)
		d.values[here.path] = item.at
		var text string
		if d.decode(item, reflect.ValueOf(&text).Elem(), here); d.failed[here.path] {
			continue
		}
		prefix, err := ParsePrefix(text)
		if err != nil {
			d.fail(item.at, here.path, err.Error())
		}
		(*p)[i] = prefix
	}
}
