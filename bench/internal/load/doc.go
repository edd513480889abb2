// Package load opens many clients to one server and counts what they get: the
// load generator of the benchmarks. It runs in a process of its own, which
// Serve makes obey one line of text at a time.
//
// There are two engines. HTTP/1.1 in clear is read by one thread with an epoll of
// its own, so that counting an event costs far less than sending it; HTTP/2, TLS
// and whatever has to be decompressed by a goroutine per client.
//
// Each client knows the place of the event that it had last, so that a lost or a
// doubled one shows, and an event says when it was sent. What a client gets is
// counted for the server's costs while a window is open; for latencies, what was
// sent while it was open, however late it comes.
package load
