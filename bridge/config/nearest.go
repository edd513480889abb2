package config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/ssebridge/ssebridge/internal/nearest"
)

// didYouMean returns the end of an error about an unknown word: the nearest known word, else all of
// them.
func didYouMean(word string, known []string) string {
	if near := nearest.Name(word, known); near != "" {
		return "; did you mean " + strconv.Quote(near) + "?"
	}

	const listed = 40
	sorted := slices.Sorted(slices.Values(known))
	if len(sorted) > listed {
		sorted = append(sorted[:listed], "…")
	}
	return "; known here: " + strings.Join(sorted, ", ")
}
