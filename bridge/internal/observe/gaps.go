package observe

import (
	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/tally"
)

// Gaps counts the gaps of a route by their receiver and their cause. The cause
// is the stream, or the client alone: it was away for too long, or came with an id
// that no bridge wrote. Alerts are for the first kind only, since any client can
// cause the second.
type Gaps struct {
	log, logAbsent       *tally.Family[reason.Gap] // in a log, for all of its clients
	client, clientAbsent *tally.Family[reason.Gap] // for one client
	told                 *tally.Family[reason.Gap] // those of logs, once for each client that was sent them
}

func newGaps() Gaps {
	return Gaps{
		log:          tally.NewFamily(reason.GapExpired, reason.GapRestarted, reason.GapUpstream, reason.GapUntranscodable),
		logAbsent:    tally.NewFamily(reason.GapExpired),
		client:       tally.NewFamily(reason.GapExpired, reason.GapRestarted, reason.GapLagged),
		clientAbsent: tally.NewFamily(reason.GapExpired, reason.GapForgotten),
		told:         tally.NewFamily(reason.GapExpired, reason.GapRestarted, reason.GapUpstream, reason.GapUntranscodable),
	}
}

// InLog counts a gap in a log. absent says that the client alone causes it.
func (c Gaps) InLog(why reason.Gap, absent bool) {
	if absent {
		c.logAbsent.Add(why, 1)
		return
	}
	c.log.Add(why, 1)
}

// ToClient counts a gap that a single client is sent.
func (c Gaps) ToClient(why reason.Gap, absent bool) {
	if absent {
		c.clientAbsent.Add(why, 1)
		return
	}
	c.client.Add(why, 1)
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
		gaps        *tally.Family[reason.Gap]
	}{
		{"log", causeStream, c.log},
		{"log", causeClient, c.logAbsent},
		{"client", causeStream, c.client},
		{"client", causeClient, c.clientAbsent},
	} {
		for why, n := range series.gaps.All() {
			r.count("ssebridge_gaps_total", n, path, string(why), series.told, series.cause)
		}
	}
	told := map[reason.Gap]uint64{}
	for _, gaps := range []*tally.Family[reason.Gap]{c.told, c.client, c.clientAbsent} {
		for why, n := range gaps.All() {
			told[why] += n
		}
	}
	for why, n := range told {
		r.count("ssebridge_gaps_told_total", n, path, string(why))
	}
}
