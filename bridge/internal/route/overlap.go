package route

import "strings"

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
	case u.exact != "" && v.exact != "":
		return u.exact, u.exact == v.exact
	case u.exact != "":
		return u.exact, len(u.exact) > len(v.suffix) && strings.HasSuffix(u.exact, v.suffix)
	case v.exact != "":
		return v.meet(u)
	case len(u.suffix) < len(v.suffix):
		return v.meet(u)
	default:
		return "x" + u.suffix, strings.HasSuffix(u.suffix, v.suffix)
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

// overlap returns a path that both templates match, if there is one.
func overlap(a, b Template) (string, bool) {
	s := overlapSearch{a: a.units(), b: b.units()}
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
