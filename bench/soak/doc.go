// Command soak injects faults around the bridge and checks what its clients receive: the
// promise of docs/resuming.md, tested with real processes and real sockets.
//
//	1,000 clients ──▶ toxiproxy ──▶ 2 × ssebridge serve ──▶ toxiproxy ──▶ backend
//	                  8 of them      kill -9, SIGTERM        one a bridge   kill -9
//
// The clients, the proxies and the injectors of faults run in this process. The
// bridges and the backend are processes of their own, so that they can be
// killed. A backend that is killed keeps its promise about cursors: message i of
// every stream is due at a fixed time, so a new backend sends what the one
// before would have sent.
//
// The data of each message names the message's place in its stream. A client keeps
// the state of an EventSource, and between two gaps expects consecutive places.
// Each kind of route says which gaps are excused, and when. Any other gap fails
// the run like a lost message, and so does a stream that does not go on where its
// gap says. A run also fails if a kind has not shown its own case (a client that
// lagged, a cursor that was refused).
//
// Some kinds have slow clients with small socket buffers. They connect to the
// bridges directly: a proxy between would read for them. Each of their connections crawls
// at a random pace, takes nothing for a while and then reads on, or is left behind as a
// ghost while its client comes back at once. Before the first fault and after the last one
// they read and buffer like the others.
//
// Before the faults, the bridges' configurations are rewritten a hundred times, half of
// the files broken: the streams of unchanged routes must not end. Among the
// faults there are reloads, too.
//
// "soak rollout" injects no faults and has no proxies. It stops a bridge while another
// runs, as in a rolling update, over HTTP/1.1 and HTTP/2; restarts a lone bridge; and
// rewrites configurations. It checks what clients see of it.
//
// "soak paces" brings clients back at one cursor, far behind, with slow clients among them
// and without, and measures how much longer that takes.
//
// It is no benchmark: it measures no speed.
package main
