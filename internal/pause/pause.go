// Package pause waits, unless a context ends before.
package pause

import (
	"context"
	"time"
)

// For waits for d. It returns ctx's error if ctx has ended, or ends meanwhile.
func For(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
