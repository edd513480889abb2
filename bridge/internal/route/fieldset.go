package route

import (
	"maps"
	"slices"
)

// membership says why a place is a member of a set.
type membership struct {
	// key is the key of the route's configuration that made it one.
	key string
	// reason tells a client why a closed field is closed.
	reason string
}

// fieldSet is a set of places in a message, as a tree of their tokens: a member
// stands for everything beneath it too. The nil set is empty.
type fieldSet struct {
	children map[string]*fieldSet
	// member is nil where the place itself is no member.
	member *membership
}

// add adds a member and returns nil. Where the place, one above it or one
// beneath it is a member already, it adds nothing and returns that one.
func (s *fieldSet) add(tokens []string, m *membership) *membership {
	if taken := s.at(tokens).any(); taken != nil {
		return taken
	}

	for _, t := range tokens {
		child := s.children[t]
		if child == nil {
			child = &fieldSet{}

			if s.children == nil {
				s.children = make(map[string]*fieldSet)
			}

			s.children[t] = child
		}

		s = child
	}

	s.member = m

	return nil
}

// child returns what is beneath a token. A member's child is the member.
func (s *fieldSet) child(token string) *fieldSet {
	if s == nil || s.member != nil {
		return s
	}

	return s.children[token]
}

// at returns what is beneath the tokens.
func (s *fieldSet) at(tokens []string) *fieldSet {
	for _, t := range tokens {
		s = s.child(t)
	}

	return s
}

// covered returns the member that the set is or stands in, or nil.
func (s *fieldSet) covered() *membership {
	if s == nil {
		return nil
	}

	return s.member
}

// any returns a member at or beneath the set, or nil: the first by tokens, so
// that messages do not change from run to run.
func (s *fieldSet) any() *membership {
	if s == nil {
		return nil
	}

	if s.member != nil || len(s.children) == 0 {
		return s.member
	}

	return s.children[slices.Min(slices.Collect(maps.Keys(s.children)))].any()
}

// openness is which fields a source may set.
type openness struct {
	all  bool
	only *fieldSet
}

// none reports whether the source may set nothing.
func (o openness) none() bool { return !o.all && o.only == nil }

// child returns what of the source is open beneath a token.
func (o openness) child(token string) openness {
	if o.all {
		return o
	}

	only := o.only.child(token)

	return openness{all: only.covered() != nil, only: only}
}

// at returns what of the source is open beneath the tokens.
func (o openness) at(tokens []string) openness {
	for _, t := range tokens {
		o = o.child(t)
	}

	return o
}
