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

// clientStream adapts a topic to one client. It implements delivery.Source,
// delivery.Follower, and delivery.Blocks, the events that do not come from the log.
type clientStream struct {
	handler  *Handler
	endpoint *site.Endpoint
	sub      *topic.Subscription
	// last is the id that the client has, and sending the id of the frame that is being
	// written. They are kept only if a gap may have to name them after their frames have left
	// the log.
	last, sending []byte
	record        *observe.Record // nil if the stream is neither logged nor traced
	inURL         bool            // the client's credentials are in its URL, which an EventSource repeats unchanged
}

// Log returns the topic's log.
func (s *clientStream) Log() *replay.Log { return s.sub.Log() }

// Status returns the state of the topic as far as the client is concerned.
func (s *clientStream) Status() (delivery.Status, <-chan struct{}) {
	now := s.sub.Topic.Status()
	return delivery.Status{Stale: now.Stale, Leave: s.sub.ToldToLeave(now)}, now.Changed()
}

// Watches reports whether the client's progress has to be reported to Sending and Progress.
func (s *clientStream) Watches() bool {
	return s.endpoint.Route.SlowClient == config.SlowClientSkip || s.record.Traced() || s.sub.Retained()
}

// Sending is called before the client is sent the log up to position.
func (s *clientStream) Sending(position uint64) {
	s.sub.Sending(position)
	if s.endpoint.Route.SlowClient != config.SlowClientSkip {
		return
	}
	if id := s.Log().ID(position); id != "" || s.endpoint.Mode == sse.Positions {
		s.sending = s.asID(position, id)
	}
}

// Taking is called when the client has accepted a part of the bytes being sent.
func (s *clientStream) Taking() { s.sub.Taking() }

// Progress is called when the client has been sent the log up to position.
func (s *clientStream) Progress(position uint64) {
	if s.sending != nil {
		s.last, s.sending = s.sending, nil
	}
	s.record.FollowRPCs(source.RPCsOf(s.sub))
	s.sub.Progress(position)
}

// Pass returns the position behind the events that the client already has by the ordinal of
// its id.
func (s *clientStream) Pass(position uint64) (next uint64, more bool) { return s.sub.Pass(position) }

// Parted reports whether the client has to move to another log before it is sent more.
func (s *clientStream) Parted() bool { return s.sub.Parted() }

// Move moves the client into the log that continues its own.
func (s *clientStream) Move() (position uint64, moved bool, err error) {
	event := "merge"
	if s.sub.Parted() {
		event = "part"
	}
	if moved, err = s.sub.Move(); moved {
		s.record.AddEvent(event)
	}
	if limit := limitOf(err); limit != "" {
		s.endpoint.Counts.Shed(limit) // counts even if the client is being asked to leave
	}
	return s.sub.Position, moved, err
}

// first renders the first block: stream-open with the client's position or, if the client
// missed events, stream-gap.
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

// asID returns the id of a position, given the id of its frame in the log, which may be
// empty.
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

// Lagged renders the gap of a client that was too slow for the log, and returns the position
// at which it continues.
func (s *clientStream) Lagged(dst []byte) (block []byte, position uint64) {
	s.endpoint.Counts.Gaps.ToClient(reason.GapLagged, false)
	last := s.last
	position, id := s.Log().Floor()
	s.last = s.asID(position, id)
	s.record.AddEvent("gap", "ssebridge.reason", string(reason.GapLagged))
	return sse.AppendGap(dst, sse.Gap{Reason: reason.GapLagged, LastEventID: string(last), ResumedFrom: string(s.last)}), position
}

// Leave renders stream-retry, or stream-end if the route was removed.
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
	case reason.LeaveExpired:
		if s.inURL {
			return sse.AppendError(dst, []byte(sse.FinalID(string(s.last))), errExpired().Data(nil))
		}
		return sse.AppendRetry(dst, soon(), sse.Retry{Reason: reason.LeaveExpired})
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

// lastID returns the client's last event id: the id of its position or, if it was sent
// nothing of the log, the id of its first block. It is empty if the frame has left the log.
func (s *clientStream) lastID(position uint64, sent bool) string {
	if !sent {
		return string(s.last)
	}
	id := s.Log().ID(position)
	switch {
	case s.endpoint.Mode == sse.Cursors && id == "":
		return ""
	case s.endpoint.Mode == sse.Positions && position == s.Log().Newest() && s.sub.Topic.Status().Phase == topic.Finished:
		return sse.FinalID(string(s.asID(position-1, ""))) // the id in the last frame
	}
	return string(s.asID(position, id))
}

// leave ends the stream's subscription, and records the end.
func (s *clientStream) leave(end reason.End, client *delivery.Client) {
	if s.record != nil {
		s.record.StreamLeaves(observe.Last{
			End: end, Events: client.Frames, ID: s.lastID(client.Position, client.Frames > 0),
			RPC: source.RPCsOf(s.sub), Err: s.sub.Topic.Status().Err,
		})
	}
	s.sub.Leave()
}
