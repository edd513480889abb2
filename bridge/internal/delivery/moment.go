package delivery

import (
	"math"
	"time"
)

// moment is a point on the monotonic clock, a third of a time.Time: each of many
// clients has several.
type moment int64

// never is after all others.
const never moment = math.MaxInt64

//nolint:gochecknoglobals // where moments count from.
var origin = time.Now()

func clock() moment { return moment(time.Since(origin)) }

func (m moment) after(d time.Duration) moment { return m + moment(d) }

func (m moment) since(earlier moment) time.Duration { return time.Duration(m - earlier) }
