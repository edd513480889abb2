package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/ssebridge/ssebridge/bridge/internal/transcode"
)

// The paths through a plan.
const (
	directWay    = "straight through"
	reorderedWay = "put in order first"
	libraryWay   = "dynamicpb and protojson"
)

// maxFallbacks is the largest accepted share of cases that the library answers.
const maxFallbacks = 0.10

// outOfReach are the reasons for the library that are not errors of the message.
var outOfReach = map[string]bool{"extension": true, "foreign_type": true, "odd_entry": true}

// wayTaken returns the path of a message, from a plan's counts before and after it.
func wayTaken(before, after transcode.Stats) (way, reason string) {
	if after.Reordered > before.Reordered {
		return reorderedWay, ""
	}

	for reason, n := range after.Library {
		if n > before.Library[reason] {
			return libraryWay, reason
		}
	}
	return directWay, ""
}

// fallback is a case that the library answered.
type fallback struct {
	message, wire, reason string
	failed                bool // the library refused it too
}

// report counts the cases by kind and path.
type report struct {
	ways      map[string]map[string]int
	fallbacks []fallback
}

func newReport() report { return report{ways: map[string]map[string]int{}} }

func (r *report) add(kind, way string, f fallback) {
	if r.ways[kind] == nil {
		r.ways[kind] = map[string]int{}
	}

	r.ways[kind][way]++

	if way == libraryWay {
		r.fallbacks = append(r.fallbacks, f)
	}
}

// write writes the report. It writes the last line only if few enough cases went to the library.
func (r *report) write(w io.Writer) error {
	var text bytes.Buffer

	total := 0

	for _, kind := range slices.Sorted(maps.Keys(r.ways)) {
		sum := 0
		for _, way := range []string{directWay, reorderedWay, libraryWay} {
			sum += r.ways[kind][way]
		}

		fmt.Fprintf(&text, "%s: %d cases\n", kind, sum)

		for _, way := range []string{directWay, reorderedWay, libraryWay} {
			fmt.Fprintf(&text, "  %6d  %s\n", r.ways[kind][way], way)
		}

		total += sum
	}

	fmt.Fprintf(&text, "\nGiven to the library: %d\n", len(r.fallbacks))

	for _, f := range r.fallbacks {
		verdict := "printed"
		if f.failed {
			verdict = "refused, as the plan had found"
		}

		fmt.Fprintf(&text, "  %-15s %s: %s %s\n", f.reason, verdict, f.message, f.wire)
	}

	// The runner ignores the exit code of its testee; scripts/conformance.sh searches for this line.
	if float64(len(r.fallbacks)) <= maxFallbacks*float64(total) {
		fmt.Fprintf(&text, "OK: at most %.0f %% of the cases\n", 100*maxFallbacks)
	}

	_, err := w.Write(text.Bytes())
	return err
}
