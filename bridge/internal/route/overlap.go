package route

import (
	"slices"
	"strings"
)

// A unit is what a template says of one path segment, or, repeated, of any
// number of them. A template is a row of units whose last is never repeated,
// because "**" is read as any number of segments and then one more: that one
// takes the verb.
type unit struct {
	repeated bool
	// exact is the segment's text; "" is any segment.
	exact string
	// suffix is ":verb" in the last unit of a template with a verb whose last
	// segment is a wildcard.
	suffix string
}

// meet returns a segment that both units take.
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

// units returns the template's row of units.
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

// apart reports whether two rows have no path in common as far as their beginnings
// and their ends tell, which is nearly always. It allocates nothing.
func apart(a, b []unit) bool {
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

// repeatedAt returns the index of the repeated unit, -1 for none.
func repeatedAt(row []unit) int {
	return slices.IndexFunc(row, func(u unit) bool { return u.repeated })
}

// meets reports whether there is a segment that both units take.
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

// overlap returns a path that both rows match, if there is one.
func overlap(a, b []unit) (string, bool) {
	if apart(a, b) {
		return "", false
	}

	s := overlapSearch{a: a, b: b}
	s.dead = make([]bool, (len(s.a)+1)*(len(s.b)+1))

	if !s.from(0, 0) {
		return "", false
	}

	return "/" + strings.Join(s.path, "/"), true
}

// overlapSearch walks two rows at once, as an intersection of two automata is
// walked. Positions found hopeless are remembered, so that the walk is bounded
// by the product of the lengths.
type overlapSearch struct {
	a, b []unit
	dead []bool
	path []string
}

// from reports whether the rows from i and j on have a path in common, and
// leaves it in s.path.
func (s *overlapSearch) from(i, j int) bool {
	if i == len(s.a) || j == len(s.b) {
		return i == len(s.a) && j == len(s.b)
	}

	at := i*(len(s.b)+1) + j
	if s.dead[at] {
		return false
	}

	u, v := s.a[i], s.b[j]

	switch {
	case u.repeated && (s.from(i+1, j) || !v.repeated && s.through(u, v, i, j+1)):
		return true
	case v.repeated && (s.from(i, j+1) || !u.repeated && s.through(u, v, i+1, j)):
		return true
	case !u.repeated && !v.repeated && s.through(u, v, i+1, j+1):
		return true
	}

	s.dead[at] = true

	return false
}

// through takes one segment for both units and goes on from i and j.
func (s *overlapSearch) through(u, v unit, i, j int) bool {
	segment, ok := u.meet(v)
	if !ok {
		return false
	}

	s.path = append(s.path, segment)
	if s.from(i, j) {
		return true
	}

	s.path = s.path[:len(s.path)-1]

	return false
}
