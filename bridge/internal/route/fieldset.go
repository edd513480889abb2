package route

import (
	"maps"
	"slices"
)

// membership says why a place is in a set.
type membership struct {
	// key is the configuration key that added the place.
	key string
	// reason explains to a client why the field is closed.
	reason string
}

// fieldSet is a set of places in a message, as a tree of their tokens. A member includes everything
// beneath it. The nil set is empty.
type fieldSet struct {
	children map[string]*fieldSet
	// member is nil if the place itself is not a member.
	member *membership
}

// add adds a member and returns nil. If the set already has the place, a parent or a descendant of it,
// add returns that member and adds nothing.
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

// child returns the subset beneath a token. The child of a member is the member.
func (s *fieldSet) child(token string) *fieldSet {
	if s == nil || s.member != nil {
		return s
	}
	return s.children[token]
}

// at returns the subset beneath the tokens.
func (s *fieldSet) at(tokens []string) *fieldSet {
	for _, t := range tokens {
		s = s.child(t)
	}
	return s
}

// covered returns the member that covers the whole subset, or nil.
func (s *fieldSet) covered() *membership {
	if s == nil {
		return nil
	}
	return s.member
}

// any returns a member of the subset, or nil. It picks the first by token, so that error messages are
// stable.
func (s *fieldSet) any() *membership {
	if s == nil {
		return nil
	}

	if s.member != nil || len(s.children) == 0 {
		return s.member
	}
	return s.children[slices.Min(slices.Collect(maps.Keys(s.children)))].any()
}

// openness is the set of fields that a source may set.
type openness struct {
	all  bool
	only *fieldSet
}

// none reports whether the source may set no field.
func (o openness) none() bool { return !o.all && o.only == nil }

// child returns the open fields beneath a token.
func (o openness) child(token string) openness {
	if o.all {
		return o
	}

	only := o.only.child(token)
	return openness{all: only.covered() != nil, only: only}
}

// at returns the open fields beneath the tokens.
func (o openness) at(tokens []string) openness {
	for _, t := range tokens {
		o = o.child(t)
	}
	return o
}
