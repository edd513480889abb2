// Command hostile attacks the bridge in the limits that it is deployed in: 512 MiB of
// memory and GOMEMLIMIT=400MiB. Beside the attackers honest clients listen and check every
// event.
//
// The attackers run on the same machine, in a process of their own, and use its processors
// too. So each attack is made twice for the same time: first on a plain net/http server
// beside the bridge (beside.go), which does about the least work that the attackers' requests
// can take, and then on the bridge. Honest clients listen to the bridge both times. The first
// time shows what the machine's busy processors cost them. Some attacks reach the backend,
// on the same machine too: a few honest clients listen to the backend itself. The
// bridge's clients may be 1.5 times as late as the later of the two.
//
// The program prints a line for each kind of attack, and last for all kinds at once. It fails,
// with exit code 1, if the bridge ends or has ever had more memory than the limit, if an honest
// client misses an event or is told a gap, if one that comes back waits for more than two
// seconds, or if events are later than they may be. It also fails if an attack does not take
// place, or if the backend or the server beside ends: then nothing is compared.
package main
