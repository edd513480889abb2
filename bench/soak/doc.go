// Soak wears the bridge down and counts what its clients lose: the sentence of
// docs/resuming.md, held against real processes and real sockets.
//
//	1,000 clients ──▶ toxiproxy ──▶ 2 × ssebridge serve ──▶ toxiproxy ──▶ backend
//	                  8 of them      kill -9, SIGTERM        one a bridge   kill -9
//
// The clients, the proxies and the injectors of faults are this process; the
// bridges and the backend are processes of their own, so that they can be
// killed. The backend keeps its cursor promise over being killed: message i of
// every stream is due at a fixed moment, so a new backend knows what the one
// before has sent.
//
// Each message names its place in its stream, in its data. A client keeps what
// an EventSource keeps, and between two gaps expects the places one after
// another. Gaps are counted by the kind of route; one that the kind has no
// excuse for fails the run like a lost message.
//
// It is no benchmark: it measures no speed, and no client is slower than its
// log is long.
package main
