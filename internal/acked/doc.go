// Package acked detects whether the peer of a TCP connection acknowledges sent bytes.
//
// TCP_USER_TIMEOUT makes the kernel close connections whose peer does not, but Linux also closes
// those of clients that read slowly. While the receive window is closed, the timeout runs from the
// first probe, and it restarts only if the window opens for the whole head of the send queue
// (tcp_ack_probe). A client that reads 10 KiB/s into a buffer of 64 KiB rarely opens it that far, and
// the kernel closed such connections while the client was still reading.
package acked
