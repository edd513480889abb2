// Package nearest finds the known name that a mistyped one probably means.
package nearest

import (
	"slices"
	"strings"
)

const (
	// maxLength is the length in bytes above which names are not compared: the work grows with its
	// square, and longer names are rarely mistyped.
	maxLength = 64
	// minLength is the number of letters and digits that a name needs. A shorter one is near every
	// other name of that length.
	minLength = 3
)

// Name returns the known name with the fewest edits from word, if those are few enough for a typo
// (one, or a third of its length), otherwise "". It ignores case, and treats - and _ alike. Of
// several equally near names it returns the first in order. If none is near, it returns the only
// one that extends the word, as room_id extends room.
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
		// A name without a common letter is no typo.
		if !short && edits < bestEdits && edits < len(k) {
			best, bestEdits = k, edits
		}
	}

	if best == "" && !short {
		return extended(word, known)
	}
	return best
}

// extended returns the only known name that extends a word, as room_id extends room; "" if there is
// none, or several.
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

// Distance counts the insertions, deletions, replacements and swaps of neighbouring bytes that
// transform a into b (the optimal string alignment distance).
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
