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
// another. Each kind of route says which gaps it has to put up with, and when;
// any other fails the run like a lost message, and so does one that does not go
// on as it says. A run in which a kind has not shown what it is there for (a
// client that lagged, a cursor that was refused) fails too.
//
// Some kinds have clients with small socket buffers that are slow, directly from the
// bridges: a proxy between would read what they do not. Each of their connections crawls
// at a random pace, takes nothing for a while and is back, or is left behind as a ghost,
// whose client comes back at once. Before the faults and after them they are as quick as
// the others, and have buffers like theirs.
//
// Before the faults, the bridges' files are written anew a hundred times, half of
// them broken: the streams of routes that are the same must not end. Among the
// faults, reloads come again.
//
// "soak rollout" lets nothing go wrong, and has no proxies: it shows what clients
// see of a bridge that is stopped while another is there, as in a rolling update,
// over HTTP/1.1 and HTTP/2; of a bridge without another that is restarted; and of
// configurations that are written anew.
//
// "soak paces" measures how much longer clients take that come back at one cursor, far
// behind, where slow ones come with them.
//
// It is no benchmark: it measures no speed.
package main
