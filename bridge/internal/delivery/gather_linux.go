package delivery

import (
	"runtime"
	"time"
)

const (
	// mostWait is the most that an event waits for others on a busy machine.
	mostWait = 2 * time.Millisecond
	// instantly is how fast the scheduler comes back where nobody else wants to run.
	instantly = 2 * time.Microsecond
)

// gather lets others run first who want to: those who fill logs. The events of
// many small streams come one by one, and a shard that answered each at once would
// write each with a call of its own, when what is short is the processor's time.
// Where it is not, this costs a microsecond.
func gather() {
	for last, end := clock(), clock().after(mostWait); ; {
		runtime.Gosched()
		now := clock()
		if now.since(last) < instantly || now >= end {
			return
		}
		last = now
	}
}
