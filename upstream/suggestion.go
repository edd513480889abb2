package upstream

import (
	"fmt"
	"iter"
	"strings"
)

// maxSuggestionLen bounds the names that are compared, since the work grows with
// the square of their length and the backend chooses them.
const maxSuggestionLen = 200

// suggestion is `; did you mean "…"?` with the candidate nearest to name, or
// nothing if none is near.
func suggestion(name string, candidates iter.Seq[string]) string {
	if len(name) > maxSuggestionLen {
		return ""
	}
	best, bestDistance := "", len(name)/3+2
	for candidate := range candidates {
		if len(candidate) > maxSuggestionLen {
			continue
		}
		d := distance(strings.ToLower(name), strings.ToLower(candidate))
		if lastPart(name) == lastPart(candidate) {
			d = min(d, 1) // the same service in another package
		}
		if d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// distance is the number of single-byte edits between two names.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
