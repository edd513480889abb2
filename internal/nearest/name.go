// Package nearest finds the name that was probably meant where one was mistyped.
package nearest

import (
	"slices"
	"strings"
)

const (
	// maxLength is the length in bytes above which names are not compared: the work grows
	// with the square of it, and a typo of more is none.
	maxLength = 64
	// minLength is how many letters and digits a name needs: a shorter one is near to
	// every name as short.
	minLength = 3
)

// Name returns the known name that is the fewest edits away from a word, if those are few
// enough to be a slip (one, or a third of its length), else "". Case, and whether words
// are joined by - or _, do not count. Of several equally near names it is the first in
// order. Where none is near it is the only one that extends the word, as room_id extends
// room.
func Name(word string, known []string) string {
	if len(word) > maxLength {
		return ""
	}
	word = folded(word)
	short := len(strings.Trim(word, "_")) < minLength
	best, bestEdits := "", max(1, len(word)/3)+1
	for _, k := range slices.Sorted(slices.Values(known)) {
		if len(k) > maxLength {
			continue
		}
		edits := Distance(word, folded(k))
		if edits == 0 {
			return k
		}
		// A name with no letter in common is not a slip.
		if !short && edits < bestEdits && edits < len(k) {
			best, bestEdits = k, edits
		}
	}

	if best == "" && !short {
		return extended(word, known)
	}

	return best
}

// extended returns the only known name that extends a word, as room_id extends room;
// "" where there is none, or several.
func extended(word string, known []string) string {
	found := ""
	for _, k := range known {
		name := folded(k)
		if len(k) > maxLength || !strings.HasPrefix(name, word+"_") && !strings.HasSuffix(name, "_"+word) {
			continue
		}
		if found != "" {
			return ""
		}
		found = k
	}

	return found
}

func folded(name string) string { return strings.ReplaceAll(strings.ToLower(name), "-", "_") }

// Distance counts the insertions, deletions, replacements and swaps of neighbours that
// turn a into b, in bytes (the optimal string alignment distance).
func Distance(a, b string) int {
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
