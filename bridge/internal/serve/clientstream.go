package serve

import (
	"google.golang.org/grpc/codes"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/bridge/internal/observe"
	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
	"github.com/ssebridge/ssebridge/bridge/internal/site"
	"github.com/ssebridge/ssebridge/bridge/internal/source"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// clientStream adapts a topic to one client: it is the client's delivery.Source, its Follower
// and its Blocks, which are the events that do not come from the log.
type clientStream struct {
	handler  *Handler
	endpoint *site.Endpoint
	sub      *topic.Subscription
	// last is the id that the client has, and sent the one that it is being
	// written, as far as a gap may have to name them: their frames may be gone
	// by then.
	last, sent []byte
	record     *observe.Record // nil: the stream is neither logged nor traced
}

// Log returns the topic's log.
func (s *clientStream) Log() *replay.Log { return s.sub.Log() }

// Status returns what the client is to be told of its topic.
func (s *clientStream) Status() (delivery.Status, <-chan struct{}) {
	now := s.sub.Topic.Status()
	return delivery.Status{Stale: now.Stale, Leave: s.sub.ToldToLeave(now)}, now.Changed()
}

// Watches reports whether it matters to others than the client how far it gets.
func (s *clientStream) Watches() bool {
	return s.endpoint.Route.SlowClient == config.SlowClientSkip || s.record.Traced() || s.sub.Retained()
}

// Sending says how far the client is to get now.
func (s *clientStream) Sending(position uint64) {
	s.sub.Sending(position)
	if s.endpoint.Route.SlowClient != config.SlowClientSkip {
		return
	}
	if id := s.Log().ID(position); id != "" || s.endpoint.Mode == sse.Positions {
		s.sent = s.asID(position, id)
	}
}

// Taking says that the client has taken a part of what is being sent.
func (s *clientStream) Taking() { s.sub.Taking() }

// Progress says how far the client has got.
func (s *clientStream) Progress(position uint64) {
	if s.sent != nil {
		s.last, s.sent = s.sent, nil
	}
	s.record.FollowRPCs(source.RPCsOf(s.sub))
	s.sub.Progress(position)
}

// Pass returns the position behind what the client has got by its ordinal.
func (s *clientStream) Pass(position uint64) (next uint64, more bool) { return s.sub.Pass(position) }

// Parted reports whether the client is to move before it is sent more.
func (s *clientStream) Parted() bool { return s.sub.Parted() }

// Move follows the client's stream into the log that goes on from its own.
func (s *clientStream) Move() (position uint64, moved bool, err error) {
	what := "merge"
	if s.sub.Parted() {
		what = "part"
	}
	if moved, err = s.sub.Move(); moved {
		s.record.AddEvent(what)
	}
	if limit := limitOfMove(err); limit != "" {
		s.endpoint.Counts.Shed(limit) // also a client that is being asked to leave just then
	}
	return s.sub.Position, moved, err
}

// first renders the first block: where the client stands, or that it cannot
// stand where it was.
func (s *clientStream) first(id sse.ID) []byte {
	sub, retry := s.sub, routeRetry(s.endpoint)
	s.last = s.asID(sub.Position, sub.ID)
	switch {
	case s.endpoint.Mode == sse.None:
		return sse.AppendPrelude(nil, retry)
	case sub.Start == topic.Missed:
		return sse.AppendGapFirst(nil, retry, sse.Gap{Reason: sub.Missed, LastEventID: id.Text, ResumedFrom: string(s.last)})
	case sub.Start == topic.Resumed:
		s.last = []byte(id.Text)
	}
	return sse.AppendOpen(nil, retry, s.last)
}

// asID is a position as an id, if its frame has the given one.
func (s *clientStream) asID(position uint64, id string) []byte {
	epoch := s.sub.Topic.Epoch()
	switch {
	case s.endpoint.Mode == sse.None:
		return nil
	case s.endpoint.Mode == sse.Positions:
		return sse.AppendPosition(nil, epoch, position)
	case id != "":
		return []byte(id)
	case s.endpoint.OwnRPC():
		return []byte(sse.NoID)
	}
	return sse.AppendPosition([]byte("~"), epoch, position)
}

// Heartbeat renders a heartbeat.
func (s *clientStream) Heartbeat(dst []byte) []byte {
	if s.endpoint.Route.Heartbeat.As == config.HeartbeatEvent {
		return append(dst, sse.HeartbeatEvent...)
	}
	return append(dst, sse.Heartbeat...)
}

// Stale renders stream-stale.
func (s *clientStream) Stale(dst []byte) []byte {
	code := codes.Unavailable // nothing has answered, not even with an error
	if err := s.sub.Topic.Status().Err; err != nil {
		code = failure.StatusOf(err).Code()
	}
	s.record.AddEvent("stale", "ssebridge.code", failure.CodeName(code))
	return sse.AppendStale(dst, failure.CodeNumber(code), failure.CodeName(code))
}

// Live renders stream-live.
func (s *clientStream) Live(dst []byte) []byte {
	s.record.AddEvent("live")
	return sse.AppendLive(dst)
}

// Lagged renders the gap of a client that was too slow for the log.
func (s *clientStream) Lagged(dst []byte) (block []byte, position uint64) {
	s.endpoint.Counts.Gaps.ToClient(reason.GapLagged, false)
	last := s.last
	position, id := s.Log().Floor()
	s.last = s.asID(position, id)
	s.record.AddEvent("gap", "ssebridge.reason", string(reason.GapLagged))
	return sse.AppendGap(dst, sse.Gap{Reason: reason.GapLagged, LastEventID: string(last), ResumedFrom: string(s.last)}), position
}

// Leave renders stream-retry, or the end of a route that is no more.
func (s *clientStream) Leave(dst []byte, why reason.Leave) []byte {
	s.record.AskedToLeave(why)
	switch why {
	case reason.LeaveDrain:
		return sse.AppendRetry(dst, s.handler.afterDrain(), sse.Retry{Reason: reason.LeaveDrain})
	case reason.LeaveReload:
		return sse.AppendRetry(dst, soon(), sse.Retry{Reason: reason.LeaveReload})
	case reason.LeaveRemoved:
		return sse.AppendEnd(dst, []byte(sse.FinalID("")), []byte("{}"))
	case reason.LeaveMaxAge:
		return sse.AppendRetry(dst, soon(), sse.Retry{Reason: reason.LeaveMaxAge})
	case reason.LeaveIdle:
		return sse.AppendRetry(dst, soon(), sse.Retry{Reason: reason.LeaveIdle})
	case reason.LeaveShed:
		return sse.AppendRetry(dst, shedRetry(), sse.Retry{Reason: reason.LeaveShed})
	case reason.LeaveLagged:
		return sse.AppendRetry(dst, routeRetry(s.endpoint), sse.Retry{Reason: reason.LeaveLagged})
	default:
		return sse.AppendRetry(dst, upstreamRetryAfter(s.endpoint), upstreamRetry(s.endpoint, s.sub.Topic.Status().Err))
	}
}

// lastID is the id that the client has by a position that it has got to, or, where it
// was sent nothing of the log, by its first block; empty where the frame is gone.
func (s *clientStream) lastID(position uint64, sent bool) string {
	if !sent {
		return string(s.last)
	}
	id := s.Log().ID(position)
	switch {
	case s.endpoint.Mode == sse.Cursors && id == "":
		return ""
	case s.endpoint.Mode == sse.Positions && position == s.Log().Newest() && s.sub.Topic.Status().Phase == topic.Finished:
		return sse.FinalID(string(s.asID(position-1, ""))) // what the last frame says
	}
	return string(s.asID(position, id))
}

// leave ends the stream.
func (s *clientStream) leave(end reason.End, client *delivery.Client) {
	if s.record != nil {
		s.record.StreamLeaves(observe.Last{
			End: end, Events: client.Frames, ID: s.lastID(client.Position, client.Frames > 0),
			RPC: source.RPCsOf(s.sub), Err: s.sub.Topic.Status().Err,
		})
	}
	s.sub.Leave()
}
