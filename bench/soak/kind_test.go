package main

import (
	"strings"
	"testing"
	"time"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// TestHistoryKeepsItsPromise: what a backend sends after a cursor is what it
// sent when the cursor's message was new, by each kind's rules.
func TestHistoryKeepsItsPromise(t *testing.T) {
	for _, k := range allKinds() {
		for place := int64(1); place < 200; place++ {
			event := k.message(place)
			if event.GetNote().GetText() == "" {
				t.Fatalf("%s: the message at %d does not name its place", k.name, place)
			}
			request := &testv1.WatchRequest{After: event.GetSeq(), Kinds: &testv1.Kinds{StringValue: event.GetCursor()}}
			got, ok := k.after(request)
			want := place + 1
			switch {
			case k.cursors == someHaveSeq && place%sparse != 0:
				if ok {
					t.Errorf("%s: the message at %d has a cursor", k.name, place)
				}
				continue
			case k.cursors == eachHasToken:
				want = place
			case k.cursors == groupsHaveToken:
				want = place - place%group + group
			}
			if !ok || got != want {
				t.Errorf("%s: after the message at %d comes %d, %v, want %d", k.name, place, got, ok, want)
			}
		}
	}
}

func TestForeignTokens(t *testing.T) {
	k, _ := kindOf("inclusive-0")
	for _, text := range []string{"at", "at ", "at ?", "1"} {
		if place, ok := k.after(&testv1.WatchRequest{Kinds: &testv1.Kinds{StringValue: text}}); ok {
			t.Errorf("%q is taken for place %d", text, place)
		}
	}
}

func TestDue(t *testing.T) {
	h := history{time.Unix(1000, 0), 250 * time.Millisecond}
	for place := int64(1); place < 50; place++ {
		if got := h.newest(h.due(place)); got != place {
			t.Errorf("when %d is due, the newest is %d", place, got)
		}
		if got := h.newest(h.due(place).Add(-1)); got != place-1 {
			t.Errorf("just before %d is due, the newest is %d", place, got)
		}
	}
}

func TestUnknownTopics(t *testing.T) {
	if _, ok := kindOf("nonsense-1"); ok {
		t.Error("a topic of no kind has one")
	}
	seen := map[string]bool{}
	for _, k := range allKinds() {
		if seen[k.name] {
			t.Errorf("two kinds are called %q", k.name)
		}
		seen[k.name] = true
		if found, ok := kindOf(k.name + "-12"); !ok || found.name != k.name {
			t.Errorf("%s-12 is of kind %q", k.name, found.name)
		}
		if strings.Contains(k.name, "-") {
			t.Errorf("%q would not be found by its topics", k.name)
		}
	}
}
