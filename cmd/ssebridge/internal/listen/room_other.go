//go:build !unix

package listen

import "net"

// descriptorOf is not known: there are no descriptors.
func descriptorOf(net.Conn) (int, bool) { return 0, false }
