package serve

import (
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
	"github.com/ssebridge/ssebridge/bridge/internal/site"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
)

// upstreamRetry returns stream-retry for an RPC that failed with err.
func upstreamRetry(e *site.Endpoint, err error) sse.Retry {
	if err == nil {
		return sse.Retry{Reason: reason.LeaveUpstream} // the RPC is being reopened
	}
	f := e.Failures.Of(err)
	return sse.Retry{Reason: reason.LeaveUpstream, Code: failure.CodeNumber(f.Code), Message: f.Message, Status: failure.CodeName(f.Code)}
}

// routeRetry returns the route's reconnection time, with a jitter of one fifth.
func routeRetry(e *site.Endpoint) time.Duration {
	base := time.Duration(e.Route.Retry)
	return base - base/5 + rand.N(2*base/5+1)
}

// soon returns a reconnection time within a second, for clients that are asked one after
// another.
func soon() time.Duration { return rand.N(time.Second) }

// upstreamRetryAfter returns a reconnection time for clients that are all asked at once.
func upstreamRetryAfter(e *site.Endpoint) time.Duration {
	most := time.Duration(e.Route.Reconnect.Max)
	least := min(time.Duration(e.Route.Reconnect.Initial), most)
	return least + rand.N(most-least+1)
}

// shedRetry returns the reconnection time of a client that a limit sheds.
func shedRetry() time.Duration { return 10*time.Second + rand.N(50*time.Second) }

// askToReconnect asks a client that has no topic to reconnect. The client keeps its id.
func (x *exchange) askToReconnect(retry sse.Retry) (answer, error) {
	after := soon()
	switch retry.Reason {
	case reason.LeaveShed:
		after = shedRetry()
	case reason.LeaveUpstream, reason.LeaveAuth:
		after = upstreamRetryAfter(x.endpoint)
	case reason.LeaveDrain:
		after = x.handler.whileDraining(x.r)
	case reason.LeaveMaxAge:
		after = reconnect()
	case reason.LeaveReload, reason.LeaveLagged, reason.LeaveIdle, reason.LeaveRemoved, reason.LeaveExpired: // soon
	}
	if wantsStatus(x.r) {
		if retry.Reason == reason.LeaveShed || retry.Reason == reason.LeaveDrain {
			x.w.Header().Set("Retry-After", retryAfter(after))
		}
		return nil, status.Error(codes.Unavailable, "come back later: "+string(retry.Reason))
	}
	x.record.Kept().AskedToLeave(retry.Reason)
	return x.answerBlock(retry.Reason, func(dst []byte) []byte { return sse.AppendRetry(dst, after, retry) })
}

// answerEnd answers a client that reconnects to an ended stream, not by GET, with stream-end.
func (x *exchange) answerEnd() (answer, error) {
	x.record.Kept().AskedToLeave(reason.LeaveRemoved)
	return x.answerBlock("", func(dst []byte) []byte { return sse.AppendEnd(dst, []byte(x.id.Text), []byte("{}")) })
}

// answerBlock answers with a stream of stream-open and one block. stream-open repeats the
// client's id, because a first block without an id may erase it. why is the reason if the
// block is stream-retry.
func (x *exchange) answerBlock(why reason.Leave, block func(dst []byte) []byte) (answer, error) {
	first := sse.AppendPrelude(nil, routeRetry(x.endpoint))
	if x.endpoint.Mode != sse.None {
		id := x.id.Text
		if id == "" {
			id = sse.NoID
		}
		first = sse.AppendOpen(nil, routeRetry(x.endpoint), []byte(id))
	}
	done := replay.New(replay.Params{Events: 1, Bytes: 1})
	done.Append(block(nil), "")
	done.Close()
	x.permit.Dismiss()
	return x.deliver(&delivery.Client{Source: ended{done}, First: first, Says: why}, nil)
}

// ended is the source of a stream whose log is complete.
type ended struct{ log *replay.Log }

// Log returns the complete log.
func (e ended) Log() *replay.Log { return e.log }

// Status returns the zero Status. It never changes before the log ends.
func (ended) Status() (delivery.Status, <-chan struct{}) { return delivery.Status{}, nil }

// Watches is false.
func (ended) Watches() bool { return false }

// Sending does nothing.
func (ended) Sending(uint64) {}

// Taking does nothing.
func (ended) Taking() {}

// Progress does nothing.
func (ended) Progress(uint64) {}
