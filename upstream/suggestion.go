package upstream

import (
	"fmt"
	"iter"
	"strings"

	"github.com/ssebridge/ssebridge/internal/nearest"
)

// maxSuggestionLen bounds the names that are compared, since the work grows with the square of
// their length and the backend chooses them.
const maxSuggestionLen = 200

// suggestion returns `; did you mean "…"?` with the candidate nearest to name, or nothing if none
// is near.
func suggestion(name string, candidates iter.Seq[string]) string {
	if len(name) > maxSuggestionLen {
		return ""
	}
	best, bestDistance := "", len(name)/3+2
	for candidate := range candidates {
		if len(candidate) > maxSuggestionLen {
			continue
		}
		d := nearest.Distance(strings.ToLower(name), strings.ToLower(candidate))
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
