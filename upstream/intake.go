package upstream

import "sync"

// Intake bounds the memory of large messages on their way: those that are being
// received from backends, and those that wait to be rendered. It may be shared by
// upstreams. Its methods are safe for concurrent use; a nil Intake has no bound.
//
// A message takes memory as soon as its bytes come, and until it is whole no client
// sees it. grpc-go asks for all bytes of a message at once, and so a hundred
// RPCs that are sent 3 MB at the same moment would take 300 MB at that moment,
// although one after another is just as fast.
type Intake struct {
	limit int64

	mu      sync.Mutex
	used    int64
	waiting []turn
}

// turn is a message that waits to be received.
type turn struct {
	bytes int64
	begin func()
}

// NewIntake returns an intake of so many bytes. A message that is larger is
// received when nothing else is.
func NewIntake(limit int64) *Intake { return &Intake{limit: limit} }

// Add counts a message that has been received, and is to be kept for a moment.
func (i *Intake) Add(bytes int) {
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.used += int64(bytes)
}

// Done says that bytes that were counted are not held any more.
func (i *Intake) Done(bytes int) {
	if i == nil {
		return
	}
	i.mu.Lock()
	i.used -= int64(bytes)
	var begin []turn
	for len(i.waiting) > 0 && i.fits(i.waiting[0].bytes) {
		begin = append(begin, i.waiting[0])
		i.used += i.waiting[0].bytes
		i.waiting = i.waiting[1:]
	}
	i.mu.Unlock()
	for _, turn := range begin {
		go turn.begin() // it may have to write
	}
}

// take counts a message that is about to be received, or has begin called, on a
// goroutine of its own, when it has been counted.
func (i *Intake) take(bytes int64, begin func()) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.waiting) == 0 && i.fits(bytes) {
		i.used += bytes
		return true
	}
	i.waiting = append(i.waiting, turn{bytes, begin})
	return false
}

func (i *Intake) fits(bytes int64) bool { return i.used <= 0 || i.used+bytes <= i.limit }
