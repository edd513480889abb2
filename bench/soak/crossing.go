package main

import "time"

// crossing is how a client came from the bridge that asked it to reconnect to another.
type crossing struct {
	told  time.Time // it was asked
	left  time.Time // its stream ended
	again time.Time // it connected again
	back  time.Time // the first block of its last stream came; zero: it did not
	to    []string  // the addresses that it connected to, in order
}

// crossingOf reads a client's crossing after a time from its journal. It returns false if the
// client was never asked to reconnect for that reason.
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

// busiest returns the most moments in any one second. The moments are in order.
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

// perSecond counts moments by the second since a time; earlier ones count in the first
// second.
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
