package topic

import (
	"io"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func (w *world) expectEvictions(topics, idle, bytes uint64) {
	w.t.Helper()
	want := map[string]uint64{"topics": topics, "idle_topics": idle, "replay_bytes": bytes}
	if diff := cmp.Diff(want, maps.Collect(w.registry.Counts().Evictions.All())); diff != "" {
		w.t.Error(diff)
	}
}

// TestEvictionsAreCountedByTheirLimit, and a lingering that ends by itself is none.
func TestEvictionsAreCountedByTheirLimit(t *testing.T) {
	t.Run("topics", func(t *testing.T) {
		inWorld(t, Limits{Topics: 1, Idle: 100, Bytes: 1 << 30}, func(_ *testing.T, w *world) {
			w.join("a").leave()
			w.join("b")
			w.expectEvictions(1, 0, 0)
		})
	})
	t.Run("idle topics", func(t *testing.T) {
		inWorld(t, Limits{Topics: 100, Idle: 1, Bytes: 1 << 30}, func(_ *testing.T, w *world) {
			w.join("a").leave()
			w.join("b").leave()
			w.expectEvictions(0, 1, 0)
		})
	})
	t.Run("a reload", func(t *testing.T) {
		inWorld(t, anyLimits, func(_ *testing.T, w *world) {
			for _, key := range []string{"a", "b", "c"} {
				w.join(key).leave()
			}
			w.registry.SetLimits(Limits{Topics: 2, Idle: 1, Bytes: 1 << 30})
			w.expectEvictions(1, 1, 0)
		})
	})
	t.Run("bytes", func(t *testing.T) {
		inWorld(t, smallBytes, func(t *testing.T, w *world) {
			c := w.join("a")
			w.sendBytes(30)
			c.leave()
			w.params.Log.Events = 1000
			w.join("b")
			w.sendBytes(100)
			w.expectEvictions(0, 0, 1)
			w.sendBytes(100)
			if w.registry.Counts().Trims.Load() == 0 {
				t.Error("the largest log has given nothing up")
			}
		})
	})
}

// TestCensus counts topics by what they are, and how they stand.
func TestCensus(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		var mine, other Owner
		owned := func(owner *Owner) func(*Join) { return func(j *Join) { j.Owner = owner } }
		w.join("live", owned(&mine))
		w.join("finished", owned(&mine))
		w.backend.fail(t, io.EOF)
		w.join("lingering", owned(&mine)).leave()
		w.join("own", private, owned(&mine))
		w.join("else", owned(&other))
		want := map[Kind]int{{"main", "live"}: 1, {"main", "finished"}: 1, {"main", "lingering"}: 1, {"private", "live"}: 1}
		census := w.registry.Census()
		if diff := cmp.Diff(want, census[&mine]); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(map[Kind]int{{"main", "live"}: 1}, census[&other]); diff != "" {
			t.Error(diff)
		}
		for kind := range want {
			if !slices.Contains(Roles(), kind.Role) || !slices.Contains(States(), kind.State) {
				t.Errorf("%v is no kind that is told of", kind)
			}
		}
	})
}
