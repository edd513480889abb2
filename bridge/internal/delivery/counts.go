package delivery

import (
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
	"github.com/ssebridge/ssebridge/bridge/internal/tally"
)

// Transport is the kind of writer that serves a client.
type Transport int

// The kinds of writers.
const (
	Shard Transport = iota // the shard's goroutine, for many clients
	HTTP                   // a Stream: the request's goroutine
)

// Transports returns the transports' names in metrics.
func Transports() [2]string { return [2]string{Shard: "shard", HTTP: "http"} }

// Counts are counters that several clients share, such as all clients of a route. A write costs two
// additions: one for its bytes, one for its frames.
type Counts struct {
	// Clients are the numbers of running streams, by Transport.
	Clients [2]atomic.Int64
	// Frames counts frames that were written whole to a client.
	Frames atomic.Uint64
	// Marked counts the marked frames (replay.Log.Mark) that clients were sent, by label; it may be
	// nil.
	Marked *tally.Family[reason.Gap]
	// Bytes and GzipBytes count what was handed to connections, plain and compressed. They include
	// chunk framing where the bridge writes it, but not the head, TLS or HTTP/2 framing.
	Bytes, GzipBytes atomic.Uint64
	// Ends counts ended streams. The label is the reason.Leave if a stream ended because its client was
	// asked to leave, otherwise the reason.End.
	Ends *tally.Family[string]
	// Reached measures, by Transport, how old a frame is when it has been written. Shard: when it has
	// been written to all members of a group whose sockets have room; in small groups only some frames
	// are measured. HTTP: when it has been written to one client; only some writes are measured.
	Reached [2]*tally.Histogram
}

// NewCounts returns Counts in which nothing has been counted. Marked is nil.
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

// outcomes returns the labels of Counts.Ends.
func outcomes() []string {
	leaves := reason.Leaves()
	all := append(make([]string, 0, 4+len(leaves)),
		string(reason.EndComplete), string(reason.EndGone), string(reason.EndStuck), string(reason.EndCut))
	for _, why := range leaves {
		all = append(all, string(why))
	}
	return all
}

// countArrival counts the start of a stream.
func (s *session) countArrival(by Transport) { s.client.Counts.Clients[by].Add(1) }

// countDeparture counts the end of a stream.
func (s *session) countDeparture(by Transport, end reason.End) {
	s.client.Counts.Clients[by].Add(-1)
	s.client.Counts.Ends.Add(s.outcome(end), 1)
}

// outcome returns the label with which a stream that ends is counted in Counts.Ends.
func (s *session) outcome(end reason.End) string {
	switch {
	case end != reason.EndAsked && end != reason.EndComplete:
		return string(end)
	case s.leftFor != "":
		return string(s.leftFor)
	case s.client.Says != "":
		return string(s.client.Says)
	}
	return string(end)
}

// reach is a frame whose age is recorded when it has reached its clients: all members of a group, or the
// one client of a Stream.
type reach struct {
	counts     *Counts
	log        *replay.Log
	appendedAt time.Duration // in log time
}

// observe records the age that the frame has at now, when it has reached its clients.
func (r reach) observe(by Transport, now time.Time) {
	r.counts.Reached[by].Observe(r.log.Time(now) - r.appendedAt)
}

// writesPerSample is the number of writes for each one that is measured, in a Stream and in a group of
// fewer members than that.
const writesPerSample = 16

// sampler measures how long frames take to reach the client of a Stream.
type sampler struct {
	log        *replay.Log
	since      time.Duration // log time at which the client came to the log; earlier frames are not measured
	steps      uint
	newest     uint64 // the log's head when the step began; 0 if the step is not measured
	appendedAt time.Duration
}

// begin prepares to measure a step of the session (see session.step). Most steps are not measured, see
// writesPerSample.
func (s *sampler) begin(log *replay.Log) {
	if log != s.log {
		s.log, s.since = log, log.Time(time.Now())
	}
	if s.newest = 0; s.steps%writesPerSample != 0 {
		return
	}
	s.appendedAt = log.NewestAt() // before Newest: a frame in between makes the result too long, not too short
	if s.appendedAt >= s.since {
		s.newest = log.Newest()
	}
}

// observe is called after a step has been written; frames reports whether the step had frames of the log.
// It records nothing if the client does not have the frame that was the newest when the step began: only
// clients that keep up are measured.
func (s *sampler) observe(client *Client, frames bool) {
	if !frames {
		return
	}
	if s.steps++; s.newest > 0 && client.Position >= s.newest {
		reach{client.Counts, s.log, s.appendedAt}.observe(HTTP, time.Now())
	}
}
