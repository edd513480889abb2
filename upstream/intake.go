package upstream

import "sync"

// Intake bounds the memory of large messages in transit: those that are being received from
// backends, and those that wait to be rendered. Upstreams may share it. Its methods are safe for
// concurrent use. A nil Intake has no bound.
//
// A message takes memory as soon as its bytes arrive, but clients see it only once it is complete.
// grpc-go requests all bytes of a message at once, so a hundred RPCs that receive 3 MB at the same
// time would take 300 MB, although receiving one after another is just as fast.
type Intake struct {
	limit int64

	mu      sync.Mutex
	used    int64
	waiting []waitingMessage
}

type waitingMessage struct {
	bytes int64
	begin func()
}

// NewIntake returns an intake of limit bytes. A larger message is received when no other is.
func NewIntake(limit int64) *Intake { return &Intake{limit: limit} }

// Add counts a message that has been received and stays in memory for a moment.
func (i *Intake) Add(bytes int) {
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.used += int64(bytes)
}

// Done releases counted bytes.
func (i *Intake) Done(bytes int) {
	if i == nil {
		return
	}
	i.mu.Lock()
	i.used -= int64(bytes)
	var ready []waitingMessage
	for len(i.waiting) > 0 && i.fits(i.waiting[0].bytes) {
		ready = append(ready, i.waiting[0])
		i.used += i.waiting[0].bytes
		i.waiting = i.waiting[1:]
	}
	i.mu.Unlock()
	for _, message := range ready {
		go message.begin() // it may write, and block
	}
}

// take counts a message that is about to be received and returns true if it fits. Otherwise it
// queues the message and later, once it is counted, calls begin on a new goroutine.
func (i *Intake) take(bytes int64, begin func()) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.waiting) == 0 && i.fits(bytes) {
		i.used += bytes
		return true
	}
	i.waiting = append(i.waiting, waitingMessage{bytes, begin})
	return false
}

func (i *Intake) fits(bytes int64) bool { return i.used <= 0 || i.used+bytes <= i.limit }
