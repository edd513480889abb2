package listen

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

var (
	// errHeader is a PROXY header that cannot be believed.
	errHeader = errors.New("not a PROXY protocol header of version 2")
	// errVersion1 is one of version 1, of which nothing has been read.
	errVersion1 = errors.New("a PROXY protocol header of version 1")
)

// The parts of a header: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt, 2.2.
const (
	signature = "\r\n\r\n\x00\r\nQUIT\n"
	fixedPart = len(signature) + 4 // and version with command, family, and the length of the rest

	version2 = 0x2
	local    = 0x0 // the proxy's own connection, such as a health check
	proxy    = 0x1

	tcp4 = 0x11
	tcp6 = 0x21

	// maxRest bounds addresses and extensions, which are for others.
	maxRest = 4 << 10
)

// readHeader reads the header that a connection begins with and returns the client's
// address; an invalid one where there is no header, or one without an IP address.
// Bytes that are not a header are left to be read, and so is a header of version 1,
// with errVersion1.
func readHeader(conn net.Conn, deadline time.Time) (netip.AddrPort, error) {
	if err := conn.SetReadDeadline(deadline); err != nil {
		return netip.AddrPort{}, err
	}
	// Those of version 1 (2.1 there) are no beginning of a request.
	begins, err := beginsWith(conn, signature, "PROXY TCP4 ", "PROXY TCP6 ", "PROXY UNKNOWN")
	var client netip.AddrPort
	if err == nil && begins == signature {
		client, err = takeHeader(conn)
	}
	if err == nil {
		err = conn.SetReadDeadline(time.Time{})
	}
	if err == nil && begins != "" && begins != signature {
		err = errVersion1
	}
	if err != nil {
		return netip.AddrPort{}, err
	}
	return client, nil
}

// takeHeader reads a header whose signature is there, and not a byte more.
func takeHeader(conn io.Reader) (netip.AddrPort, error) {
	var head [fixedPart]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return netip.AddrPort{}, err
	}
	version, command, family := head[12]>>4, head[12]&0xf, head[13]
	length := int(binary.BigEndian.Uint16(head[14:]))
	switch {
	case !bytes.HasPrefix(head[:], []byte(signature)): // it was there a moment ago
		return netip.AddrPort{}, errHeader
	case version != version2:
		return netip.AddrPort{}, fmt.Errorf("%w: it says version %d", errHeader, version)
	case command != local && command != proxy:
		return netip.AddrPort{}, fmt.Errorf("%w: it has the unknown command %d", errHeader, command)
	case length > maxRest:
		return netip.AddrPort{}, fmt.Errorf("%w: it is longer than %d bytes", errHeader, fixedPart+maxRest)
	}
	rest := make([]byte, length)
	if _, err := io.ReadFull(conn, rest); err != nil {
		return netip.AddrPort{}, err
	}
	if command == local {
		return netip.AddrPort{}, nil
	}
	return source(family, rest)
}

// source is the source address of a proxied connection. Of families without an IP
// address, which a receiver accepts, there is none.
func source(family byte, rest []byte) (netip.AddrPort, error) {
	var size int
	switch family {
	case tcp4:
		size = net.IPv4len
	case tcp6:
		size = net.IPv6len
	default:
		return netip.AddrPort{}, nil
	}
	if len(rest) < 2*size+4 { // two addresses, two ports
		return netip.AddrPort{}, fmt.Errorf("%w: its addresses are cut", errHeader)
	}
	addr, _ := netip.AddrFromSlice(rest[:size]) // a size that it has
	return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(rest[2*size:])), nil
}
