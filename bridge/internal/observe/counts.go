package observe

import (
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/ssebridge/ssebridge/bridge/internal/admit"
	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/bridge/internal/tally"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/bridge/internal/transcode"
)

// longID is from where on ids are counted that are longer than an id should be: each
// client sends its own back, and proxies have their bounds for a head.
const longID = 128

// RouteCounts count what happens on a route. Endpoints of one path share
// it, in one site and from site to site: counters do not go back when a reload
// changes a route.
type RouteCounts struct {
	Delivery *delivery.Counts
	Answers  Answers
	Unary    *tally.Histogram // how long unary calls take, from the request to the answer

	connects [3]atomic.Uint64 // by topic.Start
	replays  atomic.Uint64    // of those, the ones that resumed in a log
	replayed atomic.Uint64    // and the frames that were there for them
	shed     *tally.Family[string]
	messages atomic.Uint64
	bytes    atomic.Uint64
	paths    [3]atomic.Uint64 // by transcode.Path
	Unshown  atomic.Uint64
	longIDs  atomic.Uint64
	Repeated atomic.Uint64 // cursors that are to differ, and equal the one before
	Gaps     Gaps
}

// NewRouteCounts makes counts of a route.
func NewRouteCounts() *RouteCounts {
	c := &RouteCounts{
		Delivery: delivery.NewCounts(),
		Unary:    tally.NewHistogram(tally.Latencies()),
		shed:     tally.NewFamily(shedLabels()...),
		Gaps:     newGaps(),
	}
	c.Delivery.Marked = c.Gaps.told
	return c
}

// Joined counts a client that has its place.
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

// shedLabels are all limits as labels.
func shedLabels() []string {
	labels := admit.Limits()
	for i, limit := range labels {
		labels[i] = shedLabel(limit)
	}
	return labels
}

// shedLabel is a limit as a label.
func shedLabel(limit string) string { return strings.TrimPrefix(limit, "limits.") }

// Shed counts a client that was shed by a limit.
func (c *RouteCounts) Shed(limit string) { c.shed.Add(shedLabel(limit), 1) }

// Received counts a message of the backend's.
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

// UpstreamCounts count what happens at an upstream, by its name.
type UpstreamCounts struct {
	streams, Unary Calls
	reconnects     atomic.Uint64
	moves          atomic.Uint64 // RPCs that ended to be opened at another address
	idle           atomic.Uint64 // RPCs that ended since they sent nothing for idle_timeout
	accept         *tally.Histogram
}

// Calls counts the RPCs of one kind.
type Calls struct {
	Opens atomic.Uint64
	ends  *tally.Family[string] // by the name of the code
}

// otherCode stands for all codes of the backend's own.
const otherCode = "OTHER"

// codeNames are those that calls may end with, as labels.
func codeNames() []string {
	names := make([]string, 0, codes.Unauthenticated+2)
	for code := codes.OK; code <= codes.Unauthenticated; code++ {
		names = append(names, failure.CodeName(code))
	}
	return append(names, otherCode)
}

// NewUpstreamCounts makes counts of an upstream.
func NewUpstreamCounts() *UpstreamCounts {
	c := &UpstreamCounts{accept: tally.NewHistogram(tally.Latencies())}
	c.streams.ends, c.Unary.ends = tally.NewFamily(codeNames()...), tally.NewFamily(codeNames()...)
	return c
}

// Ended counts the end of a call: nil and io.EOF itself are OK. A failure may wrap the
// io.EOF of a connection that was hung up.
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

// Stream is one RPC of a stream as its upstream counts it.
type Stream struct {
	counts *UpstreamCounts
	began  time.Time
	end    sync.Once
}

// Begin counts an RPC that is about to be opened; again: for a topic that had one before.
func (c *UpstreamCounts) Begin(again bool) *Stream {
	c.streams.Opens.Add(1)
	if again {
		c.reconnects.Add(1)
	}
	return &Stream{counts: c, began: time.Now()}
}

// Accepted counts how long the backend took to accept the RPC.
func (c *Stream) Accepted() { c.counts.accept.Observe(time.Since(c.began)) }

// Ended counts the RPC's end. Only the first call says how it was.
func (c *Stream) Ended(err error) { c.end.Do(func() { c.counts.streams.Ended(err) }) }

// Moved counts an RPC that ends to be opened at another address.
func (c *Stream) Moved() { c.counts.moves.Add(1) }

// Idled counts an RPC that ends since it sent nothing for idle_timeout.
func (c *Stream) Idled() { c.counts.idle.Add(1) }
