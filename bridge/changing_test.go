package bridge_test

import "sync"

// changing notifies the RPCs of a test's backend that its state has changed.
type changing struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
}

func newChanging() changing { return changing{changed: make(chan struct{})} }

// change changes the state and notifies the waiting RPCs.
func (c *changing) change(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	close(c.changed)
	c.changed = make(chan struct{})
}
