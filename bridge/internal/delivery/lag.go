package delivery

import (
	"cmp"
	"slices"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// Behind is how far a client is behind the head of its log.
type Behind struct {
	Frames uint64
	// Time is how long the next frame that the client needs has been in the log.
	Time time.Duration
}

// Lag is how far the clients that share Counts are behind. Frames and times are compared separately: the
// client that is most frames behind may not be the one that is behind for the longest time.
type Lag struct{ Slowest, Median Behind }

// clientPosition is a client's position in its log.
type clientPosition struct {
	counts   *Counts
	log      *replay.Log
	position uint64
}

// Lags returns how far clients are behind, by their Counts. Counts without clients are left out. A call
// takes about as long as a short write to each client; it delays the writers only for a small part of
// that time.
func (c *Clients) Lags() map[*Counts]Lag {
	behind := map[*Counts][]Behind{}
	for _, s := range append(c.streamPositions(), c.takeover.positions()...) {
		behind[s.counts] = append(behind[s.counts], s.behind())
	}
	lags := make(map[*Counts]Lag, len(behind))
	for counts, all := range behind {
		lags[counts] = lagOf(all)
	}
	return lags
}

// behind compares the position with the log's head.
func (s clientPosition) behind() Behind {
	newest := s.log.Newest()
	if newest <= s.position {
		return Behind{}
	}
	return Behind{Frames: newest - s.position, Time: s.log.NextAge(s.position)}
}

func lagOf(all []Behind) (lag Lag) {
	slices.SortFunc(all, func(a, b Behind) int { return cmp.Compare(a.Frames, b.Frames) })
	lag.Median.Frames, lag.Slowest.Frames = all[len(all)/2].Frames, all[len(all)-1].Frames
	slices.SortFunc(all, func(a, b Behind) int { return cmp.Compare(a.Time, b.Time) })
	lag.Median.Time, lag.Slowest.Time = all[len(all)/2].Time, all[len(all)-1].Time
	return lag
}

// streamPositions returns the positions of the clients that Streams serve.
func (c *Clients) streamPositions() []clientPosition {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []clientPosition
	for s := range c.streams {
		if stream, ok := s.(*Stream); ok {
			all = append(all, stream.lastPosition())
		}
	}
	return all
}

// notePosition updates the position that Lags reads.
func (s *Stream) notePosition() {
	s.positionMu.Lock()
	defer s.positionMu.Unlock()
	s.position = s.session.clientPosition()
}

func (s *Stream) lastPosition() clientPosition {
	s.positionMu.Lock()
	defer s.positionMu.Unlock()
	return s.position
}
