package delivery

import (
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

func TestEachEndIsCounted(t *testing.T) {
	for _, test := range []struct {
		name    string
		end     reason.End
		parting reason.Leave
		says    reason.Leave
		want    string
	}{
		{"complete", reason.EndComplete, "", "", "complete"},
		{"route removed", reason.EndComplete, reason.LeaveRemoved, "", "removed"},
		{"no topic", reason.EndComplete, "", reason.LeaveShed, "shed"},
		{"asked", reason.EndAsked, reason.LeaveMaxAge, "", "max_age"},
		{"asked without a topic", reason.EndAsked, reason.LeaveDrain, reason.LeaveShed, "drain"},
		{"gone", reason.EndGone, "", "", "gone"},
		{"gone before the last block", reason.EndGone, reason.LeaveReload, "", "gone"},
		{"stuck", reason.EndStuck, "", "", "stuck"},
		{"cut", reason.EndCut, reason.LeaveDrain, reason.LeaveShed, "cut"},
	} {
		t.Run(test.name, func(t *testing.T) {
			counts := NewCounts()
			s := newSession(&Client{Source: newSource(1), Counts: counts, Says: test.says}, newEncoder(false, false), clock())
			s.countArrival(HTTP)
			s.leftFor = test.parting
			s.countDeparture(HTTP, test.end)
			for label, n := range counts.Ends.All() {
				if want := label == test.want; (n == 1) != want {
					t.Errorf("%s is counted %d times", label, n)
				}
			}
			if n := counts.Clients[HTTP].Load(); n != 0 {
				t.Errorf("%d clients are left", n)
			}
		})
	}
}

func TestEveryReasonHasACounter(t *testing.T) {
	known := slices.Collect(maps.Keys(maps.Collect(NewCounts().Ends.All())))
	for _, why := range reason.Leaves() {
		if !slices.Contains(known, string(why)) {
			t.Errorf("reason %q cannot be counted", why)
		}
	}
	for _, end := range []reason.End{reason.EndComplete, reason.EndGone, reason.EndStuck, reason.EndCut} {
		if !slices.Contains(known, string(end)) {
			t.Errorf("end %q cannot be counted", end)
		}
	}
}

// Frames and times are compared separately.
func TestLagHasTheSlowestAndTheMedian(t *testing.T) {
	got := lagOf([]Behind{{7, time.Second}, {}, {2, time.Hour}, {}, {1, time.Minute}})
	if want := (Lag{Slowest: Behind{7, time.Hour}, Median: Behind{1, time.Second}}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := lagOf([]Behind{{}}); got != (Lag{}) {
		t.Errorf("a client at the head is behind by %+v", got)
	}
}

func TestBehindComparesThePositionWithTheHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := replay.New(replay.Params{Events: 3, Bytes: 1 << 20})
		for range 5 {
			log.Append([]byte("x"), "")
			time.Sleep(time.Second)
		}
		for position, want := range map[uint64]Behind{
			5: {}, 4: {1, time.Second}, 2: {3, 3 * time.Second},
			0: {5, 3 * time.Second}, // dropped frames have no age
			9: {},                   // the position is of another log: the client has just moved
		} {
			if got := (clientPosition{log: log, position: position}).behind(); got != want {
				t.Errorf("at %d: %+v, want %+v", position, got, want)
			}
		}
	})
}

// Frames from before the client came, and frames of a client that is behind, are not measured.
func TestTheSamplerMeasuresNewFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := replay.New(replay.Params{Events: 100, Bytes: 1 << 20})
		client := &Client{Counts: NewCounts()}
		var s sampler
		write := func(position uint64) {
			s.begin(log)
			time.Sleep(time.Second) // the time of the write
			client.Position = position
			s.observe(client, true)
		}
		log.Append([]byte("old"), "")
		time.Sleep(time.Hour)
		write(1)
		if got := client.Counts.Reached[HTTP].Snapshot(); got.Count != 0 {
			t.Errorf("an old frame took %v", got.Sum)
		}
		for position := uint64(2); position < 40; position++ {
			log.Append([]byte("new"), "")
			write(position)
		}
		if got := client.Counts.Reached[HTTP].Snapshot(); got.Count != 2 || got.Sum != 2*time.Second {
			t.Errorf("%d samples of 39 writes took %v, want 2 in 2s", got.Count, got.Sum)
		}
		s.steps = 0
		log.Append([]byte("a"), "")
		log.Append([]byte("b"), "")
		write(40)
		if got := client.Counts.Reached[HTTP].Snapshot(); got.Count != 2 {
			t.Error("a client that is behind was measured")
		}
	})
}
