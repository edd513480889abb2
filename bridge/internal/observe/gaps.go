package observe

import (
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/tally"
)

// Gaps counts the gaps of a route by their receiver and their cause. The cause
// is the stream, or the client alone: it was away for too long, or came with an id
// that no bridge wrote. Alerts are for the first kind only, since any client can
// cause the second.
type Gaps struct {
	log, logAbsent       *tally.Family // in a log, for all of its clients
	client, clientAbsent *tally.Family // for one client
	told                 *tally.Family // those of logs, once for each client that was sent them
}

func newGaps() Gaps {
	return Gaps{
		log:          tally.NewFamily(sse.GapExpired, sse.GapRestarted, sse.GapUpstream, sse.GapUntranscodable),
		logAbsent:    tally.NewFamily(sse.GapExpired),
		client:       tally.NewFamily(sse.GapExpired, sse.GapRestarted, sse.GapLagged),
		clientAbsent: tally.NewFamily(sse.GapExpired, sse.GapForgotten),
		told:         tally.NewFamily(sse.GapExpired, sse.GapRestarted, sse.GapUpstream, sse.GapUntranscodable),
	}
}

// InLog counts a gap in a log. absent says that the client alone causes it.
func (c Gaps) InLog(reason string, absent bool) {
	if absent {
		c.logAbsent.Add(reason, 1)
		return
	}
	c.log.Add(reason, 1)
}

// ToClient counts a gap that a single client is sent.
func (c Gaps) ToClient(reason string, absent bool) {
	if absent {
		c.clientAbsent.Add(reason, 1)
		return
	}
	c.client.Add(reason, 1)
}

// The values of the label cause.
const (
	causeStream = "stream"
	causeClient = "client"
)

// read sends the counts to a scrape.
func (c Gaps) read(r reading, path string) {
	for _, series := range []struct {
		told, cause string
		gaps        *tally.Family
	}{
		{"log", causeStream, c.log},
		{"log", causeClient, c.logAbsent},
		{"client", causeStream, c.client},
		{"client", causeClient, c.clientAbsent},
	} {
		for reason, n := range series.gaps.All() {
			r.count("ssebridge_gaps_total", n, path, reason, series.told, series.cause)
		}
	}
	told := map[string]uint64{}
	for _, gaps := range []*tally.Family{c.told, c.client, c.clientAbsent} {
		for reason, n := range gaps.All() {
			told[reason] += n
		}
	}
	for reason, n := range told {
		r.count("ssebridge_gaps_told_total", n, path, reason)
	}
}
