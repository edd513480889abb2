// Command hostile runs peers that mean harm against the bridge, in the limits that it is
// deployed in: 512 MiB of memory and GOMEMLIMIT=400MiB. Beside them honest clients listen
// and check every event.
//
// The peers run on the same machine, in a process of their own, and take its processors
// too. So each kind of harm is done twice for the same time: first to a plain net/http
// server beside the bridge (beside.go), whose answers to the same peers are about the
// least work that they can be, and then to the bridge. Honest clients listen to the bridge
// both times. The first shows what the machine's share costs them. Some harm reaches the
// backend, whose processors are the same: a few honest clients listen to the backend
// itself. The bridge's clients may be 1.5 times as late as the later of the two.
//
// It prints a line for each kind, and last all kinds at once. It fails, with exit code 1,
// if the bridge ends or has ever had more memory than the limit, if an honest client
// misses an event or is told a gap, or if events are later than they may be.
package main
