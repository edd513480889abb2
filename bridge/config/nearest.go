package config

import (
	"slices"
	"strconv"
	"strings"
)

// maxSuggested is the length in bytes above which a word is not compared: no name of a
// configuration is longer, and the comparison is quadratic.
const maxSuggested = 64

// didYouMean is what follows "unknown key": the nearest of the known words, else all
// of them.
func didYouMean(word string, known []string) string {
	if near := nearest(word, known); near != "" {
		return "; did you mean " + strconv.Quote(near) + "?"
	}

	const listed = 40
	sorted := slices.Sorted(slices.Values(known))
	if len(sorted) > listed {
		sorted = append(sorted[:listed], "…")
	}

	return "; known here: " + strings.Join(sorted, ", ")
}

// nearest is the word of known that is the fewest edits away, if those are few enough
// to be a slip; else "".
func nearest(word string, known []string) string {
	if len(word) > maxSuggested {
		return ""
	}
	word = strings.ReplaceAll(strings.ToLower(word), "-", "_")
	best, bestEdits := "", max(1, len(word)/3)+1
	for _, k := range slices.Sorted(slices.Values(known)) {
		if len(k) > maxSuggested {
			continue
		}
		if n := edits(word, strings.ReplaceAll(strings.ToLower(k), "-", "_")); n < bestEdits {
			best, bestEdits = k, n
		}
	}

	return best
}

// edits is how many insertions, deletions, replacements and swaps of neighbours make b
// of a (the optimal string alignment distance).
func edits(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(replace, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}

	return last[len(b)]
}
