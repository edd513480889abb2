// Package listen opens what the command serves on: TCP ports, unix sockets and sockets
// that systemd hands over, with TLS and the PROXY protocol in front of HTTP where they
// are asked for. It knows addresses, files and descriptors; what is served on a listener
// is for others.
//
// A connection in clear comes out of every listener as the *net.TCPConn or *net.UnixConn
// that the kernel gave, never wrapped: that is what the bridge can take over from
// net/http and serve without a goroutine.
package listen
