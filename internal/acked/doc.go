// Package acked tells whether the peer of a TCP connection acknowledges what it is sent.
//
// TCP_USER_TIMEOUT has the kernel end connections whose peer does not, but Linux also ends
// by it those of clients that read slowly. While the receive window is closed, the time
// counts from the first probe, and it starts anew only if the window opens for the whole
// head of the send queue (tcp_ack_probe). A client that reads 10 KiB/s into a buffer of
// 64 KiB rarely opens it that far, and was cut in the middle of its reading.
package acked
