package backendtest

import (
	"context"
	"fmt"

	"google.golang.org/grpc/metadata"
)

// Opens returns how many Watch RPCs began since Start, over all restarts.
func (b *Backend) Opens() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.opens
}

// Running returns how many Watch RPCs are being answered.
func (b *Backend) Running() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.running
}

// Metadata returns the metadata of the last Watch, Get or Put RPC.
func (b *Backend) Metadata() metadata.MD {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen.Copy()
}

// AwaitOpens waits until at least n Watch RPCs have begun. It fails the test after half a minute.
func (b *Backend) AwaitOpens(n int) {
	b.tb.Helper()
	b.await(func() bool { return b.opens >= n }, func() string {
		return fmt.Sprintf("%d Watch RPCs began, want %d", b.opens, n)
	})
}

// AwaitRunning waits until exactly n Watch RPCs are being answered. It fails the test after ten
// seconds.
func (b *Backend) AwaitRunning(n int) {
	b.tb.Helper()
	b.await(func() bool { return b.running == n }, func() string {
		return fmt.Sprintf("%d Watch RPCs are running, want %d", b.running, n)
	})
}

// await waits for done. It calls done and failure with the lock held.
func (b *Backend) await(done func() bool, failure func() string) {
	b.tb.Helper()
	ctx, cancel := context.WithTimeout(b.tb.Context(), awaitTimeout)
	defer cancel()
	for {
		b.mu.Lock()
		ok, changed, message := done(), b.changed, failure()
		b.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			b.tb.Fatalf("backendtest: %s", message)
		}
	}
}

// update changes the state that await observes.
func (b *Backend) update(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
	close(b.changed)
	b.changed = make(chan struct{})
}
