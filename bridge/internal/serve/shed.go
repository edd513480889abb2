package serve

import (
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/admit"
	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// orShed sheds the client if err says that a limit is reached. Otherwise it returns its
// arguments.
func (x *exchange) orShed(rest answer, err error) (answer, error) {
	if admit.IsFull(err) {
		return x.shed(err)
	}
	return rest, err
}

// shed answers a client that a limit sheds. A client that calls a unary method, or may do so,
// gets a status, because 200 would mean success to it.
func (x *exchange) shed(full error) (answer, error) {
	limit := admit.LimitOf(full)
	x.handler.Gate.LogShed(x.r, limit)
	x.endpoint.Counts.Shed(limit)
	if x.handler.Gate.BetterElsewhere(x.r, limit) {
		closeConnection(x.w)
	}
	if known := x.endpoint.Bound(); known == nil && !wantsStream(x.r) || known != nil && known.Unary() {
		x.w.Header().Set("Retry-After", retryAfter(shedRetry()))
		return nil, full
	}
	return x.askToReconnect(sse.Retry{Reason: reason.LeaveShed})
}

// retryAfter formats a duration for Retry-After (RFC 9110, section 10.2.3), rounded up to
// seconds.
func retryAfter(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

// limitOf returns the limit that keeps a client from a topic, "" if no limit does.
func limitOf(err error) string {
	if errors.Is(err, topic.ErrFull) {
		return admit.LimitTopics
	}
	return admit.LimitOf(err)
}
