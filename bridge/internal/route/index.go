package route

import (
	"iter"
	"strings"
)

// An index finds the entries of a table that may match a path, or a path of another template, without
// testing all of them. It is a tree with one level per segment. Templates share the nodes of their
// common prefix. Templates that end at a node, or have a "**" there, are looked up by their last
// segment. The result is a superset of the matches: the index ignores the segments between a "**" and
// the last one.
type index struct {
	// literal has the children by segment text; wildcard is the child for any segment.
	literal  map[string]*index
	wildcard *index
	// ends are the entries whose rows end here; rests are those with a repeated unit next.
	ends, rests tails
}

// tails groups entries by the last unit of their rows.
type tails struct {
	all []int
	// exact has the entries that end with a literal. suffix has those that end with a wildcard, by verb
	// with its colon, or "" without a verb.
	exact, suffix map[string][]int
	// colons are the entries of exact whose literal has a colon, so that a verb may match its end.
	colons []int
	// compound reports that a verb in suffix itself has a colon.
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

// maxColons is how many colons of a last segment are tried as the start of a verb. With more, ending
// yields all entries.
const maxColons = 8

// ending yields the entries whose last unit may equal the given one. It returns false if yield did.
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

// lastOf returns the last unit of a row, or the zero unit of an empty row.
func lastOf(row []unit) unit {
	if len(row) == 0 {
		return unit{}
	}
	return row[len(row)-1]
}

// add adds an entry under its template's row.
func (x *index) add(row []unit, entry int) {
	last := lastOf(row)

	for _, u := range row {
		if u.repeated {
			x.rests.add(last, entry)
			return
		}

		x = x.child(u.exact)
	}

	x.ends.add(last, entry)
}

// child returns the subtree for a segment's text, or for any segment if exact is "". It creates a
// missing subtree.
func (x *index) child(exact string) *index {
	if exact == "" {
		if x.wildcard == nil {
			x.wildcard = &index{}
		}
		return x.wildcard
	}

	if x.literal == nil {
		x.literal = make(map[string]*index)
	}

	if x.literal[exact] == nil {
		x.literal[exact] = &index{}
	}
	return x.literal[exact]
}

// matching returns the entries that may match a path with these segments.
func (x *index) matching(path []string) iter.Seq[int] {
	last := unit{}
	if len(path) > 0 {
		last.exact = path[len(path)-1]
	}
	return func(yield func(int) bool) { x.match(path, last, yield) }
}

// match returns false if yield did.
func (x *index) match(path []string, last unit, yield func(int) bool) bool {
	switch {
	case x == nil:
		return true
	case !x.rests.ending(last, yield):
		return false
	case len(path) == 0:
		return x.ends.ending(last, yield)
	default:
		return x.literal[path[0]].match(path[1:], last, yield) && x.wildcard.match(path[1:], last, yield)
	}
}

// meeting returns the entries that may match a path that the row matches too.
func (x *index) meeting(row []unit) iter.Seq[int] {
	return func(yield func(int) bool) { x.meet(row, lastOf(row), yield) }
}

// meet returns false if yield did.
func (x *index) meet(row []unit, last unit, yield func(int) bool) bool {
	switch {
	case x == nil:
		return true
	case !x.rests.ending(last, yield):
		return false
	case len(row) == 0:
		return x.ends.ending(last, yield)
	case row[0].repeated: // may skip any number of levels
		if !x.ends.ending(last, yield) {
			return false
		}
	case row[0].exact != "":
		return x.literal[row[0].exact].meet(row[1:], last, yield) && x.wildcard.meet(row[1:], last, yield)
	default:
		row = row[1:]
	}

	for _, next := range x.literal {
		if !next.meet(row, last, yield) {
			return false
		}
	}
	return x.wildcard.meet(row, last, yield)
}

func each(entries []int, yield func(int) bool) bool {
	for _, entry := range entries {
		if !yield(entry) {
			return false
		}
	}
	return true
}
