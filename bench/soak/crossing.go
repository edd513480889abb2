package main

import "time"

// crossing is how a client came from the bridge that asked it to leave to another.
type crossing struct {
	told  time.Time // it was asked to
	left  time.Time // its stream ended
	again time.Time // it connected anew
	back  time.Time // the first block of its last stream came; zero: it did not
	to    []string  // where it connected to, and where again if that was no good
}

// crossingOf reads of a journal how a client left that was there at a moment. It is
// false where the client was never told to for that reason.
func crossingOf(j *journal, since time.Time, reason string) (c crossing, told bool) {
	for _, e := range j.entries {
		if e.at.Before(since) {
			continue
		}
		switch e.what {
		case asked:
			if told = told || e.word == reason; told && c.told.IsZero() {
				c.told = e.at
			}
		case ends:
			if told && c.left.IsZero() {
				c.left = e.at
			}
		case connects:
			if !told {
				continue
			}
			if c.again.IsZero() {
				c.again = e.at
			}
			c.to = append(c.to, e.word)
		case opens:
			if told {
				c.back = e.at
			}
		}
	}
	return c, told
}

// busiest returns the most moments that any one second holds. They are in order.
func busiest(moments []time.Time) (most int) {
	first := 0
	for last, at := range moments {
		for at.Sub(moments[first]) >= time.Second {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

// perSecond counts moments by the second since a beginning; those before it count
// in the first.
func perSecond(moments []time.Time, since time.Time) []int {
	var counts []int
	for _, at := range moments {
		second := max(0, int(at.Sub(since)/time.Second))
		for len(counts) <= second {
			counts = append(counts, 0)
		}
		counts[second]++
	}
	return counts
}
