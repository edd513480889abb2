//go:build !unix

package transcode

import (
	"testing"
	"time"
)

var testStart = time.Now()

// spentTime is the time on the wall, where there is no better clock.
func spentTime(testing.TB) time.Duration { return time.Since(testStart) }
