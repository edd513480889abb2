package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// at is a moment, in milliseconds after SIGTERM.
func at(ms int) time.Time { return time.Unix(1000, 0).Add(time.Duration(ms) * time.Millisecond) }

// lived is a journal, an entry a word: connects:a, opens, asked:drain, ends; one
// every 100 ms, the signal where it says so.
func lived(words string) *journal {
	names := map[string]happening{"connects": connects, "opens": opens, "asked": asked, "ends": ends}
	all := strings.Fields(words)
	signal := slices.Index(all, "SIGTERM")
	j := &journal{}
	for i, text := range all {
		if name, word, _ := strings.Cut(text, ":"); name != "SIGTERM" {
			j.entries = append(j.entries, entry{names[name], at(100 * (i - signal)), word})
		}
	}
	return j
}

func TestCrossing(t *testing.T) {
	for _, c := range []struct {
		name, words string
		told        bool
		want        crossing
	}{
		{
			name: "across", words: "connects:a opens SIGTERM asked:drain ends connects:b opens", told: true,
			want: crossing{told: at(100), left: at(200), again: at(300), back: at(400), to: []string{"b"}},
		},
		{
			name: "asked again by the same bridge", words: "connects:a opens SIGTERM asked:drain ends connects:a opens asked:drain ends connects:b opens", told: true,
			want: crossing{told: at(100), left: at(200), again: at(300), back: at(800), to: []string{"a", "b"}},
		},
		{
			name: "not back", words: "connects:a opens SIGTERM asked:drain ends connects:b", told: true,
			want: crossing{told: at(100), left: at(200), again: at(300), to: []string{"b"}},
		},
		{name: "cut", words: "connects:a opens SIGTERM ends connects:b opens"},
		{name: "for another reason", words: "connects:a opens SIGTERM asked:reload ends connects:b opens"},
		{name: "before", words: "connects:a opens asked:drain ends connects:a opens SIGTERM"},
	} {
		got, told := crossingOf(lived(c.words), at(0), retryDrain)
		if told != c.told || !got.told.Equal(c.want.told) || !got.left.Equal(c.want.left) ||
			!got.again.Equal(c.want.again) || !got.back.Equal(c.want.back) || !slices.Equal(got.to, c.want.to) {
			t.Errorf("%s: %+v, %v, want %+v", c.name, got, told, c.want)
		}
	}
}

func TestBusiest(t *testing.T) {
	moments := []time.Time{at(0), at(900), at(1000), at(1100), at(1899), at(3000)}
	if got := busiest(moments); got != 4 { // from 900 to before 1900
		t.Errorf("%d at most in a second", got)
	}
	if got := busiest(nil); got != 0 {
		t.Errorf("%d of none", got)
	}
	if got, want := perSecond(moments, at(100)), []int{3, 2, 1}; !slices.Equal(got, want) {
		t.Errorf("by the second: %v, want %v", got, want)
	}
}

// TestDrainIsJudged: a drain that does not keep one of its promises fails.
func TestDrainIsJudged(t *testing.T) {
	const good = "connects:a opens SIGTERM asked:drain ends connects:b opens"
	for _, c := range []struct {
		name, word string
		words      string
		change     func(d *drainage)
	}{
		{name: "good", words: good},
		{name: "cut", words: "connects:a opens SIGTERM ends connects:b opens", word: "0 of 1 clients"},
		{name: "not back", words: "connects:a opens SIGTERM asked:drain ends connects:b", word: "another stream"},
		{name: "back again", words: "connects:a opens SIGTERM asked:drain ends connects:a opens asked:drain ends connects:b opens", word: "drained again"},
		{name: "in two goes", words: "connects:a opens SIGTERM asked:drain ends connects:b connects:b opens", word: "more than once"},
		{name: "told too early", words: good, change: func(d *drainage) { d.soak.settings.delay = time.Second }, word: "delay was over"},
		{name: "ready", words: good, change: func(d *drainage) { d.unready = time.Time{} }, word: "readiness"},
		{name: "ready for too long", words: good, change: func(d *drainage) { d.unready = at(150) }, word: "readiness"},
		{name: "late", words: good, change: func(d *drainage) { d.exit = at(7000) }, word: "exit came"},
		{name: "silent", words: good, change: func(d *drainage) { d.soak.settings.silence = 150 * time.Millisecond }, word: "without a stream for 200ms"},
		{name: "all at once", words: good, change: func(d *drainage) { d.soak.settings.grace = 2 * time.Second }, word: "busiest"},
	} {
		s := &soak{settings: settings{delay: 50 * time.Millisecond, grace: time.Second, margin: exitMargin, busiest: 1.5}, watchers: []*watcher{{journal: lived(c.words)}}}
		d := &drainage{soak: s, from: &bridge{listen: "a"}, signal: at(0), unready: at(10), exit: at(1200)}
		if c.change != nil {
			c.change(d)
		}
		d.read()
		err := d.verdict()
		if (err != nil) != (c.word != "") || err != nil && !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v, want %q", c.name, err, c.word)
		}
	}
}
