// Package listen opens what the command serves on: TCP ports, unix sockets and sockets
// that systemd hands over, with TLS and the PROXY protocol in front of HTTP where they
// are asked for. It knows addresses, files and descriptors; what is served on a listener
// is for others.
//
// Every listener but [Proxied] gives out connections in clear as the *net.TCPConn or
// *net.UnixConn that the kernel gave. [Proxied] wraps them, to read HTTP/2 at a pace, and its
// Handler gives the kernel's own to the bridge, which takes it over from net/http and serves
// it without a goroutine.
package listen
