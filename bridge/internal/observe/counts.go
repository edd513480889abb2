package observe

import (
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/ssebridge/ssebridge/bridge/internal/admit"
	"github.com/ssebridge/ssebridge/bridge/internal/auth"
	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/bridge/internal/tally"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/bridge/internal/transcode"
)

// longID is the length in bytes above which ids are counted as long. Clients send their id
// back in a request header, and proxies bound the size of headers.
const longID = 128

// RouteCounts are the counters of a path. The endpoints of a path share them, also across
// reloads, so that counters never decrease.
type RouteCounts struct {
	Delivery *delivery.Counts
	Answers  Answers
	Unary    *tally.Histogram // the time of unary calls, from the request to the answer

	connects [3]atomic.Uint64 // by topic.Start
	replays  atomic.Uint64    // the connects that resumed in a log
	replayed atomic.Uint64    // the frames that were in the log for them
	shed     *tally.Family[string]
	messages atomic.Uint64
	bytes    atomic.Uint64
	paths    [3]atomic.Uint64 // by transcode.Path
	Unshown  atomic.Uint64
	longIDs  atomic.Uint64
	Repeated atomic.Uint64 // cursors that equal the one before, though event.cursor is unique
	Gaps     Gaps

	refused    *tally.Family[string] // by auth.Reason
	Unverified atomic.Uint64         // requests whose credentials could not be verified at the moment
}

// NewRouteCounts returns the counters of a path.
func NewRouteCounts() *RouteCounts {
	c := &RouteCounts{
		Delivery: delivery.NewCounts(),
		Unary:    tally.NewHistogram(tally.Latencies()),
		shed:     tally.NewFamily(shedLabels()...),
		Gaps:     newGaps(),
		refused:  tally.NewFamily(refusals()...),
	}
	c.Delivery.Marked = c.Gaps.sent
	return c
}

// Joined counts a client that has joined a topic.
func (c *RouteCounts) Joined(sub *topic.Subscription) {
	c.connects[sub.Start].Add(1)
	switch newest := sub.Log().Newest(); sub.Start {
	case topic.Missed:
		c.Gaps.ToClient(sub.Missed, sub.Absent)
	case topic.Resumed:
		c.replays.Add(1)
		if newest > sub.Position {
			c.replayed.Add(newest - sub.Position)
		}
	case topic.Fresh:
	}
}

// shedLabels returns the label values of all limits.
func shedLabels() []string {
	labels := admit.Limits()
	for i, limit := range labels {
		labels[i] = shedLabel(limit)
	}
	return labels
}

// shedLabel returns the label value of a limit.
func shedLabel(limit string) string { return strings.TrimPrefix(limit, "limits.") }

// Shed counts a client that a limit sheds.
func (c *RouteCounts) Shed(limit string) { c.shed.Add(shedLabel(limit), 1) }

// Refused counts a request whose credentials do not admit it.
func (c *RouteCounts) Refused(why auth.Reason) { c.refused.Add(string(why), 1) }

// refusals returns the label values of all reasons of refusals.
func refusals() (labels []string) {
	for _, why := range auth.Reasons() {
		labels = append(labels, string(why))
	}
	return labels
}

// Received counts a message of the backend.
func (c *RouteCounts) Received(wire []byte) {
	c.messages.Add(1)
	c.bytes.Add(uint64(len(wire)))
}

// Rendered counts a message that became an event.
func (c *RouteCounts) Rendered(path transcode.Path, id []byte) {
	c.paths[path].Add(1)
	if len(id) > longID {
		c.longIDs.Add(1)
	}
}

// UpstreamCounts are the counters of an upstream. Upstreams of one name share them across
// reloads.
type UpstreamCounts struct {
	streams, Unary Calls
	reconnects     atomic.Uint64
	moves          atomic.Uint64 // RPCs that ended because they move to another address
	idle           atomic.Uint64 // RPCs that ended because they sent nothing for idle_timeout
	accept         *tally.Histogram
}

// Calls counts the RPCs of one kind.
type Calls struct {
	Opens atomic.Uint64
	ends  *tally.Family[string] // by the code's name
}

// otherCode is the label of all codes that gRPC does not define.
const otherCode = "OTHER"

// codeNames returns the label values of all codes.
func codeNames() []string {
	names := make([]string, 0, codes.Unauthenticated+2)
	for code := codes.OK; code <= codes.Unauthenticated; code++ {
		names = append(names, failure.CodeName(code))
	}
	return append(names, otherCode)
}

// NewUpstreamCounts returns the counters of an upstream.
func NewUpstreamCounts() *UpstreamCounts {
	c := &UpstreamCounts{accept: tally.NewHistogram(tally.Latencies())}
	c.streams.ends, c.Unary.ends = tally.NewFamily(codeNames()...), tally.NewFamily(codeNames()...)
	return c
}

// Ended counts the end of a call. nil and io.EOF mean OK, but an error that wraps io.EOF does
// not: it may be the failure of a closed connection.
func (c *Calls) Ended(err error) {
	code := codes.OK
	if err != nil && err != io.EOF { //nolint:errorlint // see above
		code = failure.StatusOf(err).Code()
	}
	if code > codes.Unauthenticated {
		c.ends.Add(otherCode, 1)
		return
	}
	c.ends.Add(failure.CodeName(code), 1)
}

// Stream counts one streaming RPC at its upstream.
type Stream struct {
	counts *UpstreamCounts
	began  time.Time
	end    sync.Once
}

// Begin counts the opening of an RPC. again is set if its topic has had an RPC before.
func (c *UpstreamCounts) Begin(again bool) *Stream {
	c.streams.Opens.Add(1)
	if again {
		c.reconnects.Add(1)
	}
	return &Stream{counts: c, began: time.Now()}
}

// Accepted records how long the backend took to accept the RPC.
func (c *Stream) Accepted() { c.counts.accept.Observe(time.Since(c.began)) }

// Ended counts the RPC's end. Only the first call counts.
func (c *Stream) Ended(err error) { c.end.Do(func() { c.counts.streams.Ended(err) }) }

// Moved counts an RPC that ends because it moves to another address.
func (c *Stream) Moved() { c.counts.moves.Add(1) }

// Idled counts an RPC that ends because it sent nothing for idle_timeout.
func (c *Stream) Idled() { c.counts.idle.Add(1) }
