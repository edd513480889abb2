package observe

import (
	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/tally"
)

// Gaps counts the gaps of a route by who is told, a log or one client, and by their cause. The cause is the stream,
// or an absent client: one that was away for too long, or sent an id that no bridge wrote.
// Alerts count only the first cause, because any client can produce the second.
type Gaps struct {
	log, logAbsent       *tally.Family[reason.Gap] // once for a log, whatever the number of its clients
	client, clientAbsent *tally.Family[reason.Gap] // sent to one client only
	sent                 *tally.Family[reason.Gap] // gaps of logs, once for each client that was sent them
}

func newGaps() Gaps {
	return Gaps{
		log:          tally.NewFamily(reason.GapExpired, reason.GapRestarted, reason.GapUpstream, reason.GapUntranscodable),
		logAbsent:    tally.NewFamily(reason.GapExpired),
		client:       tally.NewFamily(reason.GapExpired, reason.GapRestarted, reason.GapLagged),
		clientAbsent: tally.NewFamily(reason.GapExpired, reason.GapForgotten),
		sent:         tally.NewFamily(reason.GapExpired, reason.GapRestarted, reason.GapUpstream, reason.GapUntranscodable),
	}
}

// InLog counts a gap in a log. absent is set if the log's only client causes it.
func (c Gaps) InLog(why reason.Gap, absent bool) {
	if absent {
		c.logAbsent.Add(why, 1)
		return
	}
	c.log.Add(why, 1)
}

// ToClient counts a gap that is sent to a single client. absent is set if the client causes
// it.
func (c Gaps) ToClient(why reason.Gap, absent bool) {
	if absent {
		c.clientAbsent.Add(why, 1)
		return
	}
	c.client.Add(why, 1)
}

// The values of the label "cause".
const (
	causeStream = "stream"
	causeClient = "client"
)

// read sends the counts.
func (c Gaps) read(r scrape, path string) {
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
	sent := map[reason.Gap]uint64{}
	for _, gaps := range []*tally.Family[reason.Gap]{c.sent, c.client, c.clientAbsent} {
		for why, n := range gaps.All() {
			sent[why] += n
		}
	}
	for why, n := range sent {
		r.count("ssebridge_gaps_told_total", n, path, string(why))
	}
}
