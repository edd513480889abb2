package route

import (
	"slices"
	"strings"
)

// A unit is a template's pattern for one path segment or, if repeated, for any number of segments. A
// template is a row of units. The last unit is never repeated: a row spells "**" as any number of
// segments followed by one more, which carries the verb.
type unit struct {
	repeated bool
	// exact is the segment's text; "" matches any segment.
	exact string
	// suffix is ":verb" in the last unit of a template that ends with a wildcard and a verb.
	suffix string
}

// meet returns a segment that both units match.
func (u unit) meet(v unit) (string, bool) {
	switch {
	case !u.meets(v):
		return "", false
	case u.exact != "":
		return u.exact, true
	case v.exact != "":
		return v.exact, true
	case len(u.suffix) < len(v.suffix):
		return "x" + v.suffix, true
	default:
		return "x" + u.suffix, true
	}
}

// units returns the template's row.
func (t Template) units() []unit {
	units := make([]unit, 0, len(t.segments)+1)

	for _, s := range t.segments {
		if s.kind == manySegments {
			units = append(units, unit{repeated: true})
		}

		units = append(units, unit{exact: s.literal})
	}

	if t.verb == "" || len(units) == 0 {
		return units
	}

	last := &units[len(units)-1]
	if last.exact != "" {
		last.exact += ":" + t.verb
	} else {
		last.suffix = ":" + t.verb
	}
	return units
}

// disjoint reports whether the units before and after the repeated ones already prove that no path
// matches both rows. It is true for nearly all pairs, and allocates nothing.
func disjoint(a, b []unit) bool {
	repeatedA, repeatedB := repeatedAt(a), repeatedAt(b)

	switch {
	case repeatedA < 0 && repeatedB < 0 && len(a) != len(b),
		repeatedA < 0 && repeatedB >= 0 && len(a) < len(b)-1,
		repeatedB < 0 && repeatedA >= 0 && len(b) < len(a)-1:
		return true
	}

	for i := 0; i < len(a) && i < len(b) && i != repeatedA && i != repeatedB; i++ {
		if !a[i].meets(b[i]) {
			return true
		}
	}

	for i := 1; i <= len(a) && i <= len(b) && len(a)-i != repeatedA && len(b)-i != repeatedB; i++ {
		if !a[len(a)-i].meets(b[len(b)-i]) {
			return true
		}
	}
	return false
}

// repeatedAt returns the index of the repeated unit, or -1.
func repeatedAt(row []unit) int {
	return slices.IndexFunc(row, func(u unit) bool { return u.repeated })
}

// meets reports whether a segment exists that both units match.
func (u unit) meets(v unit) bool {
	switch {
	case u.exact != "" && v.exact != "":
		return u.exact == v.exact
	case u.exact != "":
		return len(u.exact) > len(v.suffix) && strings.HasSuffix(u.exact, v.suffix)
	case v.exact != "":
		return v.meets(u)
	default:
		return strings.HasSuffix(u.suffix, v.suffix) || strings.HasSuffix(v.suffix, u.suffix)
	}
}

// overlap returns a path that matches both rows, if one exists.
func overlap(a, b []unit) (string, bool) {
	if disjoint(a, b) {
		return "", false
	}

	s := overlapSearch{a: a, b: b}
	s.dead = make([]bool, (len(s.a)+1)*(len(s.b)+1))

	if !s.search(0, 0) {
		return "", false
	}
	return "/" + strings.Join(s.path, "/"), true
}

// overlapSearch walks two rows in parallel, like the intersection of two automata. dead marks pairs of
// positions without a solution, which bounds the walk by the product of the rows' lengths.
type overlapSearch struct {
	a, b []unit
	dead []bool
	path []string
}

// search reports whether a path matches both the rest of a from i and the rest of b from j, and leaves
// it in s.path.
func (s *overlapSearch) search(i, j int) bool {
	if i == len(s.a) || j == len(s.b) {
		return i == len(s.a) && j == len(s.b)
	}

	at := i*(len(s.b)+1) + j
	if s.dead[at] {
		return false
	}

	u, v := s.a[i], s.b[j]

	switch {
	case u.repeated && (s.search(i+1, j) || !v.repeated && s.take(u, v, i, j+1)):
		return true
	case v.repeated && (s.search(i, j+1) || !u.repeated && s.take(u, v, i+1, j)):
		return true
	case !u.repeated && !v.repeated && s.take(u, v, i+1, j+1):
		return true
	}

	s.dead[at] = true
	return false
}

// take adds a segment that both units match and searches on from i and j.
func (s *overlapSearch) take(u, v unit, i, j int) bool {
	segment, ok := u.meet(v)
	if !ok {
		return false
	}

	s.path = append(s.path, segment)
	if s.search(i, j) {
		return true
	}

	s.path = s.path[:len(s.path)-1]
	return false
}
