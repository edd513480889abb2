package delivery

import (
	"math"
	"time"
)

// moment is a time of the monotonic clock. Each client has several, and a moment takes a third of the
// memory of a time.Time.
type moment int64

// never is later than any other moment.
const never moment = math.MaxInt64

//nolint:gochecknoglobals // the zero moment
var origin = time.Now()

func clock() moment { return moment(time.Since(origin)) }

func (m moment) after(d time.Duration) moment { return m + moment(d) }

func (m moment) since(earlier moment) time.Duration { return time.Duration(m - earlier) }
