package config

import (
	"errors"
	"io/fs"
	"net"
	"path"
	"strconv"
	"strings"
)

// unixScheme is the prefix of a unix socket's address.
const unixScheme = "unix:"

// socketMode is the default mode of a unix socket's file. Peers in the same pod or on the same machine
// often run as another user of the same group.
const socketMode fs.FileMode = 0o660

// maxSocketPath is the longest socket path, in bytes, that the kernels of all systems accept.
const maxSocketPath = 103

// Address is where a listener listens.
type Address struct {
	// Network is "tcp" or "unix".
	Network string
	// Address is host:port, or the absolute path of the socket's file.
	Address string
	// Mode is the mode of the socket's file; 0 for tcp.
	Mode fs.FileMode
}

var (
	errHostPort   = errors.New("must be host:port with a port from 0 to 65535")
	errSocketPath = errors.New("must be unix:// and the absolute path of a file, such as unix:///run/ssebridge.sock")
	errSocketLong = errors.New("the path of a unix socket has at most 103 bytes; choose a shorter one")
	errSocketMode = errors.New("after the path of a unix socket only its mode may follow, as ?mode=0660 (the default) or ?mode=0666")
)

// ParseAddress reads host:port, unix:///path or unix:///path?mode=0666. Its errors describe the
// expected form and omit the text, which may come from the environment.
func ParseAddress(text string) (Address, error) {
	if rest, ok := strings.CutPrefix(text, unixScheme); ok {
		return parseSocket(rest)
	}
	host, port, err := net.SplitHostPort(text)
	_, badPort := strconv.ParseUint(port, 10, 16)
	if err != nil || badPort != nil || strings.ContainsAny(host, " /") || !isPrintable(host) {
		return Address{}, errHostPort
	}
	return Address{Network: "tcp", Address: text}, nil
}

// parseSocket reads the part after "unix:".
func parseSocket(rest string) (Address, error) {
	file, query, hasQuery := strings.Cut(strings.TrimPrefix(rest, "//"), "?")
	if !strings.HasPrefix(rest, "///") || path.Clean(file) != file || file == "/" || !isPrintable(file) {
		return Address{}, errSocketPath
	}
	if len(file) > maxSocketPath {
		return Address{}, errSocketLong
	}
	a := Address{Network: "unix", Address: file, Mode: socketMode}
	if hasQuery {
		digits, ok := strings.CutPrefix(query, "mode=")
		mode, err := strconv.ParseUint(digits, 8, 32)
		if !ok || err != nil || mode == 0 || mode > uint64(fs.ModePerm) {
			return Address{}, errSocketMode
		}
		a.Mode = fs.FileMode(mode)
	}
	return a, nil
}

// sameListener reports whether two addresses conflict, so that only one of them can be listened on.
func sameListener(a, b Address) bool {
	if a.Network != b.Network {
		return false
	}
	if a.Network == "unix" {
		return a.Address == b.Address
	}
	hostA, portA, errA := net.SplitHostPort(a.Address)
	hostB, portB, errB := net.SplitHostPort(b.Address)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return hostA == hostB || isWildcard(hostA) || isWildcard(hostB)
}

func isWildcard(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}
