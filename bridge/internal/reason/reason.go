// Package reason says why events are missing, why a client is asked to leave, and how a stream
// ended. A reason is spelled the same on the wire, in metrics, in the log and in spans.
package reason

// Gap is why events are missing, in stream-gap.
type Gap string

// The reasons of gaps.
const (
	GapExpired        Gap = "expired"        // fallen out of the log, or a refused cursor
	GapRestarted      Gap = "restarted"      // an id of another bridge, or of this one before a restart
	GapForgotten      Gap = "forgotten"      // an id whose log has lingered out, or that no bridge wrote
	GapLagged         Gap = "lagged"         // a client too slow for the log
	GapUpstream       Gap = "upstream"       // the RPC was lost and had no cursor
	GapUntranscodable Gap = "untranscodable" // a message that has no JSON
)

// Leave is why a client is asked to leave: to reconnect, in stream-retry, except for
// LeaveRemoved. The zero value is no reason.
type Leave string

// The reasons to leave.
const (
	LeaveShed     Leave = "shed"     // there is no room for this client now
	LeaveDrain    Leave = "drain"    // the bridge is shutting down
	LeaveReload   Leave = "reload"   // the route has changed
	LeaveMaxAge   Leave = "max_age"  // the stream is as old as the route allows
	LeaveUpstream Leave = "upstream" // the RPC failed, and may work later
	LeaveLagged   Leave = "lagged"   // the client was too slow for the log
	LeaveIdle     Leave = "idle"     // many heartbeats in a row fill some clients' buffers
	LeaveRemoved  Leave = "removed"  // the route is gone, and the client is not to come back
)

// Leaves returns all reasons to leave.
func Leaves() []Leave {
	return []Leave{LeaveUpstream, LeaveDrain, LeaveMaxAge, LeaveLagged, LeaveIdle, LeaveShed, LeaveReload, LeaveRemoved}
}

// End is how a stream ended.
type End string

// How streams end as their delivery sees it. Metrics have the Leave in place of EndAsked.
const (
	EndComplete End = "complete" // the log's last frame was written, or there is none to come
	EndGone     End = "gone"     // the client went away
	EndStuck    End = "stuck"    // the client's socket took nothing for write_timeout
	EndAsked    End = "asked"    // the client was asked to leave
	EndCut      End = "cut"      // the bridge cut the stream
)

// How a stream ends in the log and in spans where EndComplete does not say which way.
const (
	EndStream End = "end"   // by stream-end
	EndError  End = "error" // by stream-error
)
