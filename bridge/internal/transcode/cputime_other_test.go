//go:build !unix

package transcode

import (
	"testing"
	"time"
)

var testStart = time.Now()

// spentTime returns wall-clock time on systems without a better clock.
func spentTime(testing.TB) time.Duration { return time.Since(testStart) }
