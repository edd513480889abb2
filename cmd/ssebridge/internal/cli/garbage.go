package cli

import (
	"os"
	"runtime/debug"
)

// garbage is how much garbage may pile up, in percent of what is in use, where GOGC does
// not say. What a bridge has in use is small things of clients that stay, and logs, which
// cost a collection nothing; requests are its garbage. Go's 100 would have a crowd that
// comes at once take half as much again, for a processor that hardly notices.
const garbage = 30

// limitGarbage sets it.
func limitGarbage() {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(garbage)
	}
}
