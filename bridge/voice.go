package bridge

import (
	"math/rand/v2"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// voice is what one client hears besides its topic's log: a delivery.Source, its
// Follower and its Blocks.
type voice struct {
	endpoint *endpoint
	sub      *topic.Subscription
	// last is the id that the client has, and sent the one that it is being
	// written, as far as a gap may have to name them: their frames may be gone
	// by then.
	last, sent []byte
	// visit follows the stream for the log and traces; nil: there are none.
	visit *visit
}

// Log returns the topic's log.
func (v *voice) Log() *replay.Log { return v.sub.Log() }

// Status returns what the client is to be told of its topic.
func (v *voice) Status() (delivery.Status, <-chan struct{}) {
	now := v.sub.Topic.Status()
	return delivery.Status{Stale: now.Stale, Leave: v.sub.ToldToLeave(now)}, now.Changed()
}

// Watches reports whether it matters to others than the client how far it gets.
func (v *voice) Watches() bool {
	return v.endpoint.route.SlowClient == config.SlowClientSkip || v.visit.traced() || v.sub.Held()
}

// Sending says how far the client is to get now.
func (v *voice) Sending(position uint64) {
	v.sub.Sending(position)
	if v.endpoint.route.SlowClient != config.SlowClientSkip {
		return
	}
	if id := v.Log().ID(position); id != "" || v.endpoint.mode == sse.Positions {
		v.sent = v.asID(position, id)
	}
}

// Taking says that the client has taken a part of what is being sent.
func (v *voice) Taking() { v.sub.Taking() }

// Progress says how far the client has got.
func (v *voice) Progress(position uint64) {
	if v.sent != nil {
		v.last, v.sent = v.sent, nil
	}
	v.visit.follows(v.sub)
	v.sub.Progress(position)
}

// Pass returns the position behind what the client has got by its ordinal.
func (v *voice) Pass(position uint64) (next uint64, more bool) { return v.sub.Pass(position) }

// Parted reports whether the client is to move before it is sent more.
func (v *voice) Parted() bool { return v.sub.Parted() }

// Move follows the client's stream into the log that goes on from its own.
func (v *voice) Move() (position uint64, moved bool, err error) {
	what := "merge"
	if v.sub.Parted() {
		what = "part"
	}
	if moved, err = v.sub.Move(); moved {
		v.visit.happens(what)
	}
	if isFull(err) {
		v.endpoint.counts.turnedAway(limitOf(err)) // also a client that is being asked to leave just then
	}
	return v.sub.Position, moved, err
}

// first renders the first block: where the client stands, or that it cannot
// stand where it was.
func (v *voice) first(id sse.ID) []byte {
	sub, retry := v.sub, v.endpoint.retry()
	v.last = v.asID(sub.Position, sub.ID)
	switch {
	case v.endpoint.mode == sse.None:
		return sse.AppendPrelude(nil, retry)
	case sub.Start == topic.Missed:
		return sse.AppendGapFirst(nil, retry, sse.Gap{Reason: sub.Missed, LastEventID: id.Text, ResumedFrom: string(v.last)})
	case sub.Start == topic.Resumed:
		v.last = []byte(id.Text)
	}
	return sse.AppendOpen(nil, retry, v.last)
}

// asID is a position as an id, if its frame has the given one.
func (v *voice) asID(position uint64, id string) []byte {
	epoch := v.sub.Topic.Epoch()
	switch {
	case v.endpoint.mode == sse.None:
		return nil
	case v.endpoint.mode == sse.Positions:
		return sse.AppendPosition(nil, epoch, position)
	case id != "":
		return []byte(id)
	case v.endpoint.ownRPC():
		return []byte(sse.NoID)
	}
	return sse.AppendPosition([]byte("~"), epoch, position)
}

// Heartbeat renders a heartbeat.
func (v *voice) Heartbeat(dst []byte) []byte {
	if v.endpoint.route.Heartbeat.As == config.HeartbeatEvent {
		return append(dst, sse.HeartbeatEvent...)
	}
	return append(dst, sse.Heartbeat...)
}

// Stale renders stream-stale.
func (v *voice) Stale(dst []byte) []byte {
	code := codes.Unavailable // nothing has answered, not even with an error
	if err := v.sub.Topic.Status().Err; err != nil {
		code = failure.StatusOf(err).Code()
	}
	v.visit.happens("stale", "ssebridge.code", failure.CodeName(code))
	return sse.AppendStale(dst, failure.CodeNumber(code), failure.CodeName(code))
}

// Live renders stream-live.
func (v *voice) Live(dst []byte) []byte {
	v.visit.happens("live")
	return sse.AppendLive(dst)
}

// Lagged renders the gap of a client that was too slow for the log.
func (v *voice) Lagged(dst []byte) (block []byte, position uint64) {
	v.endpoint.counts.gaps.toClient(sse.GapLagged, false)
	last := v.last
	position, id := v.Log().Floor()
	v.last = v.asID(position, id)
	v.visit.happens("gap", "ssebridge.reason", sse.GapLagged)
	return sse.AppendGap(dst, sse.Gap{Reason: sse.GapLagged, LastEventID: string(last), ResumedFrom: string(v.last)}), position
}

// Leave renders stream-retry, or the end of a route that is no more.
func (v *voice) Leave(dst []byte, reason delivery.Reason) []byte {
	v.visit.leaves(leaving(reason))
	switch reason {
	case delivery.Drain:
		return sse.AppendRetry(dst, v.endpoint.bridge.afterDrain(), sse.Retry{Reason: sse.RetryDrain})
	case delivery.Reload:
		return sse.AppendRetry(dst, atOnce(), sse.Retry{Reason: sse.RetryReload})
	case delivery.Removed:
		return sse.AppendEnd(dst, []byte(sse.FinalID("")), []byte("{}"))
	case delivery.MaxAge:
		return sse.AppendRetry(dst, atOnce(), sse.Retry{Reason: sse.RetryMaxAge})
	case delivery.Idle:
		return sse.AppendRetry(dst, atOnce(), sse.Retry{Reason: sse.RetryIdle})
	case delivery.Shed:
		return sse.AppendRetry(dst, shedRetry(), sse.Retry{Reason: sse.RetryShed})
	case delivery.Lagged:
		return sse.AppendRetry(dst, v.endpoint.retry(), sse.Retry{Reason: sse.RetryLagged})
	default:
		return sse.AppendRetry(dst, v.endpoint.upstreamRetryAfter(), v.endpoint.upstreamRetry(v.sub.Topic.Status().Err))
	}
}

// leaving names why a client is asked to leave.
func leaving(reason delivery.Reason) string {
	if reason == delivery.Removed {
		return reasonEnd
	}
	return reason.String()
}

// lastID is the id that the client has by a position that it has got to, or, where it
// was sent nothing of the log, by its first block; empty where the frame is gone.
func (v *voice) lastID(position uint64, sent bool) string {
	if !sent {
		return string(v.last)
	}
	id := v.Log().ID(position)
	switch {
	case v.endpoint.mode == sse.Cursors && id == "":
		return ""
	case v.endpoint.mode == sse.Positions && position == v.Log().Newest() && v.sub.Topic.Status().Phase == topic.Finished:
		return sse.FinalID(string(v.asID(position-1, ""))) // what the last frame says
	}
	return string(v.asID(position, id))
}

// upstreamRetry names what happened to the RPC.
func (e *endpoint) upstreamRetry(err error) sse.Retry {
	if err == nil {
		return sse.Retry{Reason: sse.RetryUpstream} // it is being opened again by now
	}
	f := e.failures.Of(err)
	return sse.Retry{Reason: sse.RetryUpstream, Code: failure.CodeNumber(f.Code), Message: f.Message, Status: failure.CodeName(f.Code)}
}

// retry is the route's reconnection time, spread by a fifth either way.
func (e *endpoint) retry() time.Duration {
	base := time.Duration(e.route.Retry)
	return base - base/5 + rand.N(2*base/5+1)
}

// atOnce spreads clients over a second that were asked at spread moments already.
func atOnce() time.Duration { return rand.N(time.Second) }

// upstreamRetryAfter spreads clients that were asked at one moment.
func (e *endpoint) upstreamRetryAfter() time.Duration {
	most := time.Duration(e.route.Reconnect.Max)
	least := min(time.Duration(e.route.Reconnect.Initial), most)
	return least + rand.N(most-least+1)
}

// shedRetry keeps clients away that a limit leaves no room for.
func shedRetry() time.Duration { return 10*time.Second + rand.N(50*time.Second) }

// turnAway asks a client to come back that has no topic. It keeps its place.
func (e *endpoint) turnAway(w http.ResponseWriter, r *http.Request, retry sse.Retry) (answer, error) {
	after := atOnce()
	switch retry.Reason {
	case sse.RetryShed:
		after = shedRetry()
	case sse.RetryUpstream:
		after = e.upstreamRetryAfter()
	case sse.RetryDrain:
		after = e.bridge.returnedLater(r)
	case sse.RetryMaxAge:
		after = reconnect()
	}
	if wantsStatus(r) {
		if retry.Reason == sse.RetryShed || retry.Reason == sse.RetryDrain {
			w.Header().Set("Retry-After", retryAfter(after))
		}
		return nil, e.at(status.Error(codes.Unavailable, "come back later: "+retry.Reason))
	}
	visitOf(w).kept().leaves(retry.Reason)
	return e.say(w, r, lastEventID(r), reasonOf(retry.Reason), func(dst []byte) []byte { return sse.AppendRetry(dst, after, retry) })
}

// reasonOf is what delivery calls the reason of a stream-retry.
func reasonOf(retry string) delivery.Reason {
	switch retry {
	case sse.RetryShed:
		return delivery.Shed
	case sse.RetryDrain:
		return delivery.Drain
	case sse.RetryReload:
		return delivery.Reload
	case sse.RetryMaxAge:
		return delivery.MaxAge
	default:
		return delivery.Upstream
	}
}

// sayEnd tells a client that comes back to an ended stream, not by GET, that
// it has ended.
func (e *endpoint) sayEnd(w http.ResponseWriter, r *http.Request, id sse.ID) (answer, error) {
	visitOf(w).kept().leaves(reasonEnd)
	return e.say(w, r, id.Text, 0, func(dst []byte) []byte { return sse.AppendEnd(dst, []byte(id.Text), []byte("{}")) })
}

// say answers with a stream of one block, which stream-open precedes: a first
// block without an id may wipe the client's. says is why the block asks the client to come back, if it does.
func (e *endpoint) say(
	w http.ResponseWriter, r *http.Request, lastID string, says delivery.Reason, block func(dst []byte) []byte,
) (answer, error) {
	first := sse.AppendPrelude(nil, e.retry())
	if e.mode != sse.None {
		id := sse.ParseID(e.mode, lastID).Text
		if id == "" {
			id = sse.NoID
		}
		first = sse.AppendOpen(nil, e.retry(), []byte(id))
	}
	done := replay.New(replay.Params{Events: 1, Bytes: 1})
	done.Append(block(nil), "")
	done.Close()
	return e.deliver(w, r, &delivery.Client{Source: ended{done}, Policy: e.policy(), First: first, Says: says})
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
