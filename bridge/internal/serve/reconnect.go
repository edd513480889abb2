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

// upstreamRetry names what happened to the RPC.
func upstreamRetry(e *site.Endpoint, err error) sse.Retry {
	if err == nil {
		return sse.Retry{Reason: reason.LeaveUpstream} // it is being opened again by now
	}
	f := e.Failures.Of(err)
	return sse.Retry{Reason: reason.LeaveUpstream, Code: failure.CodeNumber(f.Code), Message: f.Message, Status: failure.CodeName(f.Code)}
}

// routeRetry is the route's reconnection time, spread by a fifth either way.
func routeRetry(e *site.Endpoint) time.Duration {
	base := time.Duration(e.Route.Retry)
	return base - base/5 + rand.N(2*base/5+1)
}

// soon spreads clients over a second that were asked at spread moments already.
func soon() time.Duration { return rand.N(time.Second) }

// upstreamRetryAfter spreads clients that were asked at one moment.
func upstreamRetryAfter(e *site.Endpoint) time.Duration {
	most := time.Duration(e.Route.Reconnect.Max)
	least := min(time.Duration(e.Route.Reconnect.Initial), most)
	return least + rand.N(most-least+1)
}

// shedRetry keeps clients away that a limit leaves no room for.
func shedRetry() time.Duration { return 10*time.Second + rand.N(50*time.Second) }

// askToReconnect asks a client to come back that has no topic. It keeps its place.
func (x *exchange) askToReconnect(retry sse.Retry) (answer, error) {
	after := soon()
	switch retry.Reason {
	case reason.LeaveShed:
		after = shedRetry()
	case reason.LeaveUpstream:
		after = upstreamRetryAfter(x.endpoint)
	case reason.LeaveDrain:
		after = x.handler.returnedLater(x.r)
	case reason.LeaveMaxAge:
		after = reconnect()
	case reason.LeaveReload, reason.LeaveLagged, reason.LeaveIdle, reason.LeaveRemoved: // soon
	}
	if wantsStatus(x.r) {
		if retry.Reason == reason.LeaveShed || retry.Reason == reason.LeaveDrain {
			x.w.Header().Set("Retry-After", retryAfter(after))
		}
		return nil, status.Error(codes.Unavailable, "come back later: "+string(retry.Reason))
	}
	x.record.Kept().AskedToLeave(retry.Reason)
	return x.say(retry.Reason, func(dst []byte) []byte { return sse.AppendRetry(dst, after, retry) })
}

// sayEnd tells a client that comes back to an ended stream, not by GET, that it has ended.
func (x *exchange) sayEnd() (answer, error) {
	x.record.Kept().AskedToLeave(reason.LeaveRemoved)
	return x.say("", func(dst []byte) []byte { return sse.AppendEnd(dst, []byte(x.id.Text), []byte("{}")) })
}

// say answers with a stream of one block, which stream-open precedes: a first block without
// an id may wipe the client's. why is why the block asks the client to come back, if it
// does.
func (x *exchange) say(why reason.Leave, block func(dst []byte) []byte) (answer, error) {
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

// ended is the source of a stream that has said all it has to say.
type ended struct{ log *replay.Log }

// Log returns the last words.
func (e ended) Log() *replay.Log { return e.log }

// Status returns nothing: the log ends before it matters.
func (ended) Status() (delivery.Status, <-chan struct{}) { return delivery.Status{}, nil }

// Watches is false.
func (ended) Watches() bool { return false }

// Sending does nothing.
func (ended) Sending(uint64) {}

// Taking is of no use.
func (ended) Taking() {}

// Progress does nothing.
func (ended) Progress(uint64) {}
