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
	// Time is how long the next frame that it is to be sent has been there.
	Time time.Duration
}

// Lag is how far the clients that share a Counts are behind. Frames and times are
// looked at apart: the client that is most frames behind need not be longest
// behind.
type Lag struct{ Slowest, Median Behind }

// spot is how far a client has got.
type spot struct {
	counts   *Counts
	log      *replay.Log
	position uint64
}

// Lags returns how far clients are behind, by their Counts; a Counts without
// clients is left out. It takes the time of a short write to each client, little of
// it from the writers.
func (c *Clients) Lags() map[*Counts]Lag {
	behind := map[*Counts][]Behind{}
	for _, s := range append(c.standing(), c.takeover.spots()...) {
		behind[s.counts] = append(behind[s.counts], s.behind())
	}
	lags := make(map[*Counts]Lag, len(behind))
	for counts, all := range behind {
		lags[counts] = lagOf(all)
	}
	return lags
}

// behind looks at what the client has not got.
func (s spot) behind() Behind {
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

// standing returns the positions of the clients that goroutines of their own serve.
func (c *Clients) standing() []spot {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []spot
	for s := range c.streams {
		if stream, ok := s.(*Stream); ok {
			all = append(all, stream.spot())
		}
	}
	return all
}

// note says how far the stream has got.
func (s *Stream) note() {
	s.spotMu.Lock()
	defer s.spotMu.Unlock()
	s.spotted = s.session.spot()
}

func (s *Stream) spot() spot {
	s.spotMu.Lock()
	defer s.spotMu.Unlock()
	return s.spotted
}
