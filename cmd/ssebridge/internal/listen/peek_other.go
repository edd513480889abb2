//go:build !unix

package listen

import "net"

// beginsWith says none: here a connection cannot be looked into without taking from it,
// and the PROXY protocol is not read.
func beginsWith(net.Conn, ...string) (string, error) { return "", nil }
