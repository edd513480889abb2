package route

import (
	"iter"
	"strings"
)

// An index finds the entries of a table that may match a path, or a path of
// another template, without a look at all of them. It is a tree with a level
// for each segment: what is common to the beginnings of templates is walked
// once, and where they end or go on with a "**" they are told apart by their last
// segments. It says "may": of what is between a "**" and the last segment it knows
// nothing.
type index struct {
	// literal are the ways on by the segment's text, one is that by any segment.
	literal map[string]*index
	one     *index
	// ends are the entries whose rows of units end here, rests those that go on
	// with a repeated one.
	ends, rests tails
}

// tails are entries by the last unit of their rows.
type tails struct {
	all []int
	// exact has those that end with a literal, suffix those that end with a wildcard,
	// by its verb with the colon, "" for none.
	exact, suffix map[string][]int
	// colons are those of exact whose literal has a colon, which a verb may end.
	colons []int
	// compound says that a verb of suffix has a colon itself.
	compound bool
}

func (t *tails) add(last unit, entry int) {
	t.all = append(t.all, entry)

	into := &t.suffix
	key := last.suffix

	if last.exact != "" {
		into, key = &t.exact, last.exact
		if strings.Contains(key, ":") {
			t.colons = append(t.colons, entry)
		}
	} else if strings.Count(key, ":") > 1 {
		t.compound = true
	}

	if *into == nil {
		*into = make(map[string][]int)
	}

	(*into)[key] = append((*into)[key], entry)
}

// maxColons is how many beginnings of a verb are looked for in a last segment.
const maxColons = 8

// ending passes the entries on that may end as a path or another row does, and
// reports whether yield wants more.
func (t *tails) ending(last unit, yield func(int) bool) bool {
	switch {
	case len(t.all) == 0:
		return true
	case last == unit{}, last.suffix != "" && (t.compound || strings.Count(last.suffix, ":") > 1), strings.Count(last.exact, ":") > maxColons:
		return each(t.all, yield)
	case last.exact == "":
		return each(t.suffix[last.suffix], yield) && each(t.suffix[""], yield) && each(t.colons, yield)
	}

	if !each(t.exact[last.exact], yield) || !each(t.suffix[""], yield) {
		return false
	}

	for i := range len(last.exact) {
		if last.exact[i] == ':' && !each(t.suffix[last.exact[i:]], yield) {
			return false
		}
	}

	return true
}

// lastOf returns the last unit of a row, the zero unit of an empty one.
func lastOf(row []unit) unit {
	if len(row) == 0 {
		return unit{}
	}

	return row[len(row)-1]
}

// add adds an entry by its template's row of units.
func (x *index) add(row []unit, entry int) {
	last := lastOf(row)

	for _, u := range row {
		if u.repeated {
			x.rests.add(last, entry)

			return
		}

		x = x.on(u.exact)
	}

	x.ends.add(last, entry)
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
	last := unit{}
	if len(path) > 0 {
		last.exact = path[len(path)-1]
	}

	return func(yield func(int) bool) { x.match(path, last, yield) }
}

// match reports whether yield wants more.
func (x *index) match(path []string, last unit, yield func(int) bool) bool {
	switch {
	case x == nil:
		return true
	case !x.rests.ending(last, yield):
		return false
	case len(path) == 0:
		return x.ends.ending(last, yield)
	default:
		return x.literal[path[0]].match(path[1:], last, yield) && x.one.match(path[1:], last, yield)
	}
}

// meeting are the entries that may match a path that a row of units does.
func (x *index) meeting(row []unit) iter.Seq[int] {
	return func(yield func(int) bool) { x.meet(row, lastOf(row), yield) }
}

// meet reports whether yield wants more.
func (x *index) meet(row []unit, last unit, yield func(int) bool) bool {
	switch {
	case x == nil:
		return true
	case !x.rests.ending(last, yield):
		return false
	case len(row) == 0:
		return x.ends.ending(last, yield)
	case row[0].repeated: // whatever is further down
		if !x.ends.ending(last, yield) {
			return false
		}
	case row[0].exact != "":
		return x.literal[row[0].exact].meet(row[1:], last, yield) && x.one.meet(row[1:], last, yield)
	default:
		row = row[1:]
	}

	for _, next := range x.literal {
		if !next.meet(row, last, yield) {
			return false
		}
	}

	return x.one.meet(row, last, yield)
}

func each(entries []int, yield func(int) bool) bool {
	for _, entry := range entries {
		if !yield(entry) {
			return false
		}
	}

	return true
}
