package main

import (
	"strings"
	"testing"
	"time"
)

// The verdict on a lone bridge's restart names each broken promise.
func TestRestartVerdict(t *testing.T) {
	const good = "connects:a opens SIGTERM asked:drain ends connects:a opens"
	for _, c := range []struct {
		name, words string
		change      func(*restart)
		word        string // in the verdict; "": there is none
	}{
		{name: "back at once", words: good},
		{name: "asked again", words: good + " asked:drain ends connects:a opens", word: "asked 2 times"},
		{name: "never asked", words: "connects:a opens SIGTERM ends connects:a opens", word: "asked 0 times"},
		{name: "in two goes", words: "connects:a opens SIGTERM asked:drain ends connects:a connects:a opens", word: "2.00 connections"},
		{name: "not back", words: "connects:a opens SIGTERM asked:drain ends connects:a", word: "1 clients are not back"},
		{name: "back late", words: good, change: func(r *restart) { r.started, r.ready = at(-2700), at(-2650) }, word: "came 3.1s after the start"},
		{name: "a slow end", words: good, change: func(r *restart) { r.started, r.ready = at(5100), at(5200) }, word: "ended 5.1s after SIGTERM"},
		{name: "a slow start", words: good, change: func(r *restart) { r.ready = at(5200) }, word: "ready 5.05s after its start"},
	} {
		s := &soak{settings: settings{margin: exitMargin}, watchers: []*watcher{{journal: lived(c.words)}}}
		r := &restart{soak: s, signal: at(0), started: at(150), ready: at(200)}
		if c.change != nil {
			c.change(r)
		}
		r.read()
		err := r.verdict()
		if (err != nil) != (c.word != "") || err != nil && !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v, want %q", c.name, err, c.word)
		}
	}
}

// Connections that a slow machine refuses do not count, but for the last.
func TestRestartIgnoresRefusedConnections(t *testing.T) {
	s := &soak{settings: settings{margin: exitMargin}, watchers: []*watcher{{journal: lived("connects:a opens SIGTERM asked:drain ends ends ends ends connects:a connects:a connects:a opens")}}}
	r := &restart{soak: s, signal: at(0), started: at(150), ready: at(750)}
	if r.read(); r.early != 2 || r.connects != 1 || r.verdict() != nil {
		t.Errorf("%d connections are early, %d count: %v", r.early, r.connects, r.verdict())
	}
}

// The verdict on paces compares the medians of the rounds.
func TestPacesVerdict(t *testing.T) {
	seconds := func(all ...int) (durations []time.Duration) {
		for _, s := range all {
			durations = append(durations, time.Duration(s)*time.Second)
		}
		return durations
	}
	for _, c := range []struct {
		name          string
		without, with []time.Duration
		fails         bool
	}{
		{name: "no round", fails: true},
		{name: "as fast", without: seconds(4, 4, 4), with: seconds(4, 4, 4)},
		{name: "one busy round", without: seconds(4, 4, 4), with: seconds(4, 20, 4)},
		{name: "slower", without: seconds(4, 4, 20), with: seconds(20, 7, 7), fails: true},
	} {
		p := &pacing{without: c.without, with: c.with}
		if err := p.verdict(); (err != nil) != c.fails {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A stream that ends without stream-retry, or a gap, is no quiet ending.
func TestQuiet(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*tally)
		fails  bool
	}{
		{"messages", func(t *tally) { t.message() }, false},
		{"an end", func(t *tally) { t.ended() }, true},
		{"a gap", func(t *tally) { t.gap(gapExpired, true, false) }, true},
	} {
		s := &soak{tallies: []*tally{{}, {}}}
		c.change(s.tallies[1])
		if err := s.quiet(); (err != nil) != c.fails {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
