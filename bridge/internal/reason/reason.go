// Package reason lists why events are missing, why a client is asked to leave, and how a
// stream ends. A reason has one spelling, on the wire, in metrics, in spans and in the log. A
// gap in the middle of a stream has no line in the log.
package reason

// Gap is the reason in stream-gap why events are missing.
type Gap string

// The reasons of gaps. Package topic decides on them: for one client at its start in placement.go, for
// a log in pump.go and overlap.go. Only GapLagged comes from package serve, in clientstream.go.
const (
	GapExpired        Gap = "expired"        // the next event has left the log, or the backend refuses the cursor
	GapRestarted      Gap = "restarted"      // the id is of another bridge, or of this one before a restart
	GapForgotten      Gap = "forgotten"      // the log of the id has ended its linger, or no bridge wrote the id
	GapLagged         Gap = "lagged"         // the client was too slow for the log
	GapUpstream       Gap = "upstream"       // the RPC was lost, and cannot be reopened at a cursor
	GapUntranscodable Gap = "untranscodable" // a message has no JSON form
)

// Leave is the reason why a client is asked to leave. The client is asked to reconnect, in
// stream-retry, except for LeaveRemoved. The zero value means that it is not asked.
type Leave string

// The reasons to leave.
const (
	LeaveShed     Leave = "shed"     // a limit leaves no slot for the client
	LeaveDrain    Leave = "drain"    // the bridge is shutting down
	LeaveReload   Leave = "reload"   // the route has changed
	LeaveMaxAge   Leave = "max_age"  // the stream is as old as the route allows
	LeaveUpstream Leave = "upstream" // the RPC failed, and a later one may succeed
	LeaveLagged   Leave = "lagged"   // the client was too slow for the log
	LeaveIdle     Leave = "idle"     // the heartbeats of a long silence fill some clients' buffers
	LeaveExpired  Leave = "expired"  // the client's credentials expire
	LeaveAuth     Leave = "auth"     // credentials cannot be verified at the moment
	LeaveRemoved  Leave = "removed"  // the route was removed, and the client must not reconnect
)

// Leaves returns all reasons to leave.
func Leaves() []Leave {
	return []Leave{LeaveUpstream, LeaveDrain, LeaveMaxAge, LeaveLagged, LeaveIdle, LeaveShed, LeaveReload, LeaveExpired, LeaveAuth, LeaveRemoved}
}

// End is how a stream ends.
type End string

// The ends of streams in delivery. Metrics have the Leave instead of EndAsked.
const (
	EndComplete End = "complete" // the client has the log's last frame
	EndGone     End = "gone"     // the client closed the connection
	EndStuck    End = "stuck"    // the client's socket accepted nothing for write_timeout
	EndAsked    End = "asked"    // the client was asked to leave
	EndCut      End = "cut"      // the bridge cut the stream
)

// The ends that the log and spans have instead of EndComplete.
const (
	EndStream End = "end"   // by stream-end
	EndError  End = "error" // by stream-error
)
