// Command hostile runs peers that mean harm against the bridge, in the limits that it is
// deployed in: 512 MiB of memory and GOMEMLIMIT=400MiB. Beside them listen honest clients
// that check every event.
//
// It measures first how late events are without harm, then under each kind of it, then
// under all at once. It fails if the bridge ends or has ever had more memory than the
// limit, if an honest client misses an event, or if events are later than they may be.
package main
