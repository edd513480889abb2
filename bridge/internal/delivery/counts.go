package delivery

import (
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
	"github.com/ssebridge/ssebridge/bridge/internal/tally"
)

// Transport is what writes to a client's socket.
type Transport int

// The transports.
const (
	Shard Transport = iota // the one goroutine that writes to many
	HTTP                   // the request's own, by net/http
)

// Transports are all of them, as a metric's label has them.
func Transports() [2]string { return [2]string{Shard: "shard", HTTP: "http"} }

// Counts is what became of the clients that share it. It costs them, for each
// write, an addition for the bytes and one for the frames.
type Counts struct {
	// Clients are those being streamed to, by Transport.
	Clients [2]atomic.Int64
	// Frames of logs that were written whole.
	Frames atomic.Uint64
	// Marked is how often clients were sent the marked frames of logs, by mark; nil:
	// not counted.
	Marked *tally.Family[reason.Gap]
	// Bytes handed to connections as they are, and GzipBytes compressed ones:
	// chunks of HTTP/1.1 included where the bridge makes them, but neither
	// the head nor what TLS and HTTP/2 put around.
	Bytes, GzipBytes atomic.Uint64
	// Ends is how streams ended: an End, or the Reason for which the client was
	// asked to leave.
	Ends *tally.Family[string]
	// Reached is how old the newest frame was when all clients of a log that keep
	// up had it, by Transport; where they are few, for some of the frames. For
	// HTTP, where each client has a goroutine of its own, it is how old the frame
	// was when one client had it, for some of the writes.
	Reached [2]*tally.Histogram
}

// NewCounts returns counts that stand at 0.
func NewCounts() *Counts {
	return &Counts{
		Ends:    tally.NewFamily(outcomes()...),
		Reached: [2]*tally.Histogram{tally.NewHistogram(tally.Latencies()), tally.NewHistogram(tally.Latencies())},
	}
}

// sent counts bytes that a connection took.
func (c *Counts) sent(n int, gzip bool) {
	switch {
	case n <= 0:
	case gzip:
		c.GzipBytes.Add(uint64(n))
	default:
		c.Bytes.Add(uint64(n))
	}
}

// outcomes are all values of [Counts.Ends].
func outcomes() []string {
	leaves := reason.Leaves()
	all := append(make([]string, 0, 4+len(leaves)),
		string(reason.EndComplete), string(reason.EndGone), string(reason.EndStuck), string(reason.EndCut))
	for _, why := range leaves {
		all = append(all, string(why))
	}
	return all
}

// arrive counts a client that comes.
func (s *session) arrive(by Transport) { s.client.Counts.Clients[by].Add(1) }

// depart counts it out.
func (s *session) depart(by Transport, end reason.End) {
	s.client.Counts.Clients[by].Add(-1)
	s.client.Counts.Ends.Add(s.outcome(end), 1)
}

// outcome is how a stream ended, as it is counted.
func (s *session) outcome(end reason.End) string {
	switch {
	case end != reason.EndAsked && end != reason.EndComplete:
		return string(end)
	case s.parting != "":
		return string(s.parting)
	case s.client.Says != "":
		return string(s.client.Says)
	}
	return string(end)
}

// reach is a frame on its way to all clients of a log.
type reach struct {
	counts *Counts
	log    *replay.Log
	came   time.Duration // by the log's time
}

// observe notes that it has come to all.
func (r reach) observe(by Transport, now time.Time) {
	r.counts.Reached[by].Observe(r.log.Time(now) - r.came)
}

// sampleEach is how many writes there are to one that is measured, where a write is
// to one client or a few.
const sampleEach = 16

// sampler measures how long frames take to one client.
type sampler struct {
	log    *replay.Log
	since  time.Duration // it has been the client's, by its time; what was there before is no measure
	steps  uint
	newest uint64 // the head of the log when the step began; 0: it is not measured
	came   time.Duration
}

// begin is that of a step.
func (s *sampler) begin(log *replay.Log) {
	if log != s.log {
		s.log, s.since = log, log.Time(time.Now())
	}
	if s.newest = 0; s.steps%sampleEach != 0 {
		return
	}
	s.came = log.NewestAt() // first: a frame that comes in between is newer
	if s.came >= s.since {
		s.newest = log.Newest()
	}
}

// observe ends a step that has been written. A client that does not have the newest
// frame of the step's beginning is behind, and says nothing about those that keep
// up.
func (s *sampler) observe(client *Client, frames bool) {
	if !frames {
		return
	}
	if s.steps++; s.newest > 0 && client.Position >= s.newest {
		reach{client.Counts, s.log, s.came}.observe(HTTP, time.Now())
	}
}
