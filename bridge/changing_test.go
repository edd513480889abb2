package bridge_test

import "sync"

// changing is the state of a test's backend, whose RPCs wait for it to change.
type changing struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced with each change
}

func newChanging() changing { return changing{changed: make(chan struct{})} }

// change changes the state and wakes its waiters.
func (c *changing) change(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	close(c.changed)
	c.changed = make(chan struct{})
}
