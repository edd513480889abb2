package route

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxNameLength bounds the names that are compared; longer ones are no typos.
const maxNameLength = 64

// nearestField returns the name of the message's field that is nearest to a
// mistyped one, in the spelling that is nearer, or "" where none is near. Only
// fields that pass the filter are named.
func nearestField(m protoreflect.MessageDescriptor, name string, pass func(protoreflect.FieldDescriptor) bool) string {
	var names []string

	for i := range m.Fields().Len() {
		if f := m.Fields().Get(i); pass(f) {
			names = append(names, string(f.Name()), f.JSONName())
		}
	}

	return nearest(name, names)
}

// nearestValue returns the name of the enum's value that is nearest to a
// mistyped one, or "".
func nearestValue(e protoreflect.EnumDescriptor, name string) string {
	names := make([]string, 0, e.Values().Len())
	for i := range e.Values().Len() {
		names = append(names, string(e.Values().Get(i).Name()))
	}

	return nearest(name, names)
}

// nearest returns the first of the candidates with the smallest edit distance,
// if that is at most a third of the name's length, and at least one.
func nearest(name string, candidates []string) string {
	if len(name) > maxNameLength {
		return ""
	}

	best, distance := "", max(1, len(name)/3)+1

	for _, c := range candidates {
		if len(c) > maxNameLength {
			continue
		}

		if strings.EqualFold(c, name) {
			return c
		}

		if d := editDistance(name, c); d < distance {
			best, distance = c, d
		}
	}

	return best
}

// editDistance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b, in bytes.
func editDistance(a, b string) int {
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}

	for i := range len(a) {
		next[0] = i + 1

		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}

			next[j+1] = min(next[j]+1, row[j+1]+1, row[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}

		before, row, next = row, next, before
	}

	return row[len(b)]
}

// didYouMean returns the end of a message that suggests a name, or "".
func didYouMean(name string) string {
	if name == "" {
		return ""
	}

	return "; did you mean " + shown(name) + "?"
}
