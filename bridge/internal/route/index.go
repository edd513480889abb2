package route

import "iter"

// An index finds the entries of a table that may match a path, or a path of
// another template, without a look at all of them. It is a tree with a level
// for each segment: what is common to the beginnings of templates is walked
// once. It says "may": of verbs, and of what follows a "**", it knows nothing.
type index struct {
	// literal are the ways on by the segment's text, one is that by any segment.
	literal map[string]*index
	one     *index
	// ends are the entries whose rows of units end here, rests those that go on
	// with a repeated one.
	ends, rests []int
}

// add adds an entry by its template's row of units.
func (x *index) add(row []unit, entry int) {
	for _, u := range row {
		if u.repeated {
			x.rests = append(x.rests, entry)

			return
		}

		x = x.on(u.exact)
	}

	x.ends = append(x.ends, entry)
}

// on returns the way on by a segment's text, or by any where it is "".
func (x *index) on(exact string) *index {
	if exact == "" {
		if x.one == nil {
			x.one = &index{}
		}

		return x.one
	}

	if x.literal == nil {
		x.literal = make(map[string]*index)
	}

	if x.literal[exact] == nil {
		x.literal[exact] = &index{}
	}

	return x.literal[exact]
}

// matching are the entries that may match a path of these segments.
func (x *index) matching(path []string) iter.Seq[int] {
	return func(yield func(int) bool) { x.match(path, yield) }
}

// match reports whether yield wants more.
func (x *index) match(path []string, yield func(int) bool) bool {
	switch {
	case x == nil:
		return true
	case !each(x.rests, yield):
		return false
	case len(path) == 0:
		return each(x.ends, yield)
	default:
		return x.literal[path[0]].match(path[1:], yield) && x.one.match(path[1:], yield)
	}
}

// meeting are the entries that may match a path that a row of units does.
func (x *index) meeting(row []unit) iter.Seq[int] {
	return func(yield func(int) bool) { x.meet(row, yield) }
}

// meet reports whether yield wants more.
func (x *index) meet(row []unit, yield func(int) bool) bool {
	switch {
	case x == nil:
		return true
	case !each(x.rests, yield):
		return false
	case len(row) == 0:
		return each(x.ends, yield)
	case row[0].repeated: // whatever is further down
		if !each(x.ends, yield) {
			return false
		}
	case row[0].exact != "":
		return x.literal[row[0].exact].meet(row[1:], yield) && x.one.meet(row[1:], yield)
	default:
		row = row[1:]
	}

	for _, next := range x.literal {
		if !next.meet(row, yield) {
			return false
		}
	}

	return x.one.meet(row, yield)
}

func each(entries []int, yield func(int) bool) bool {
	for _, entry := range entries {
		if !yield(entry) {
			return false
		}
	}

	return true
}
