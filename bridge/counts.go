package bridge

import (
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/bridge/internal/tally"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/bridge/internal/transcode"
)

// longID is from where on ids are counted that are longer than an id should be: each
// client sends its own back, and proxies have their bounds for a head.
const longID = 128

// routeCounts is what has happened on a route so far. Endpoints of one path share
// it, in one site and from site to site: counters do not go back when a reload
// changes a route.
type routeCounts struct {
	delivery *delivery.Counts
	answers  answerCounts
	unary    *tally.Histogram // how long unary calls take, from the request to the answer

	connects [3]atomic.Uint64 // by topic.Start
	replays  atomic.Uint64    // of those, the ones that resumed in a log
	replayed atomic.Uint64    // and the frames that were there for them
	shed     *tally.Family
	messages atomic.Uint64
	bytes    atomic.Uint64
	paths    [3]atomic.Uint64 // by transcode.Path
	unshown  atomic.Uint64
	longIDs  atomic.Uint64
	repeated atomic.Uint64 // cursors that are to differ, and equal the one before
	gaps     gapCounts
}

func newRouteCounts() *routeCounts {
	c := &routeCounts{
		delivery: delivery.NewCounts(),
		unary:    tally.NewHistogram(tally.Latencies()),
		shed: tally.NewFamily(shedLabel(limitClients), shedLabel(limitClientsPerIP), shedLabel(limitOpensPerIP), shedLabel(limitTopics),
			shedLabel(limitReplayBytes), shedLabel(limitPendingBytes)),
		gaps: newGapCounts(),
	}
	c.delivery.Marked = c.gaps.told
	return c
}

// joined counts a client that has its place.
func (c *routeCounts) joined(sub *topic.Subscription) {
	c.connects[sub.Start].Add(1)
	switch newest := sub.Log().Newest(); sub.Start {
	case topic.Missed:
		c.gaps.toClient(sub.Missed, sub.Absent)
	case topic.Resumed:
		c.replays.Add(1)
		if newest > sub.Position {
			c.replayed.Add(newest - sub.Position)
		}
	case topic.Fresh:
	}
}

// shedLabel is a limit as a label.
func shedLabel(limit string) string { return strings.TrimPrefix(limit, "limits.") }

// turnedAway counts a client that was shed by a limit.
func (c *routeCounts) turnedAway(limit string) { c.shed.Add(shedLabel(limit), 1) }

// received counts a message of the backend's.
func (c *routeCounts) received(wire []byte) {
	c.messages.Add(1)
	c.bytes.Add(uint64(len(wire)))
}

// rendered counts a message that became an event.
func (c *routeCounts) rendered(path transcode.Path, id []byte) {
	c.paths[path].Add(1)
	if len(id) > longID {
		c.longIDs.Add(1)
	}
}

// upstreamCounts is what has happened at an upstream so far, by its name.
type upstreamCounts struct {
	streams, unary calls
	reconnects     atomic.Uint64
	moves          atomic.Uint64 // RPCs that ended to be opened at another address
	idle           atomic.Uint64 // RPCs that ended since they sent nothing for idle_timeout
	accept         *tally.Histogram
}

// calls are those of one kind.
type calls struct {
	opens atomic.Uint64
	ends  *tally.Family // by the name of the code
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

func newUpstreamCounts() *upstreamCounts {
	c := &upstreamCounts{accept: tally.NewHistogram(tally.Latencies())}
	c.streams.ends, c.unary.ends = tally.NewFamily(codeNames()...), tally.NewFamily(codeNames()...)
	return c
}

// ended counts the end of a call: nil and io.EOF itself are OK. A failure may wrap the
// io.EOF of a connection that was hung up.
func (c *calls) ended(err error) {
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

// counted is one RPC as its upstream counts it.
type counted struct {
	counts *upstreamCounts
	began  time.Time
	end    sync.Once
}

// begin counts an RPC that is about to be opened.
func (c *upstreamCounts) begin(again bool) *counted {
	c.streams.opens.Add(1)
	if again {
		c.reconnects.Add(1)
	}
	return &counted{counts: c, began: time.Now()}
}

func (c *counted) accepted() { c.counts.accept.Observe(time.Since(c.began)) }

// ended counts the RPC's end. Only the first call says how it was.
func (c *counted) ended(err error) { c.end.Do(func() { c.counts.streams.ended(err) }) }

// countsFor returns the counts of a path: those that it has already in this site, or in
// the one before, which may be nil.
func (s *site) countsFor(path string, old *site) *routeCounts {
	if s.counts[path] == nil && old != nil {
		s.counts[path] = old.counts[path]
	}
	if s.counts[path] == nil {
		s.counts[path] = newRouteCounts()
	}
	return s.counts[path]
}
