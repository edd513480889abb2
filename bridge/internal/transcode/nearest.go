package transcode

import (
	"fmt"
	"strings"
)

// nearestText names the known name that was probably meant, or nothing where none is near.
func nearestText(name string, known []string) string {
	best, distance := "", len(name)/2+1

	for _, candidate := range known {
		if d := editDistance(strings.ToLower(name), strings.ToLower(candidate)); d < distance {
			best, distance = candidate, d
		}
	}

	if best == "" {
		return ""
	}

	return fmt.Sprintf("; nearest: %q", best)
}

// editDistance counts the bytes to insert, delete or change between a and b (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}

	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1

		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}

			diagonal = row[j+1]
			row[j+1] = min(cost, diagonal+1, row[j]+1)
		}
	}

	return row[len(b)]
}
