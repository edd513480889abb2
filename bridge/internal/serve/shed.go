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

// orShed returns an exchange's answer and error, unless the error says that a limit is
// reached: then the client is shed.
func (x *exchange) orShed(rest answer, err error) (answer, error) {
	if admit.IsFull(err) {
		return x.shed(err)
	}
	return rest, err
}

// shed answers a client that a limit leaves no room for. A client that calls a unary
// method, or may be calling one, gets a status: 200 would mean success to it.
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

// retryAfter is a time as Retry-After has it (RFC 9110, 10.2.3), never less.
func retryAfter(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

// limitOfMove returns the limit that keeps a client from moving to another topic, "" where
// none does.
func limitOfMove(err error) string {
	if errors.Is(err, topic.ErrFull) {
		return admit.LimitTopics
	}
	return admit.LimitOf(err)
}
