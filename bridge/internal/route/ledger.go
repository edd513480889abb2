package route

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// ledger records which fields of a message the body and the query have set, so that a field given twice
// is an error. It is a tree by canonical token: fields of messages, entries of maps. Its zero value is
// empty.
type ledger struct {
	children map[string]*ledger
	// texts counts the query parameters that are JSON. Only the request's own ledger uses it.
	texts int
	// from is the source that set the value here, or "".
	from origin
	// members has the given member of each oneof.
	members map[protoreflect.Name]member
}

type origin string

const (
	fromBody  origin = "body"
	fromQuery origin = "query"
	// Headers and the route's constants cannot collide with other sources and have no ledger.
	fromHeader origin = "header"
	fromRoute  origin = "route"
)

// member is a oneof's member and its name in the client's spelling. The name becomes a string only in
// an error: in a deep body the strings would be larger than the body.
type member struct {
	field protoreflect.FieldDescriptor
	name  fmt.Stringer
}

// queryName is a name in a query.
type queryName string

// String returns the name.
func (n queryName) String() string { return string(n) }

// child returns the ledger beneath a token. It creates a missing one.
func (l *ledger) child(token string) *ledger {
	if c := l.children[token]; c != nil {
		return c
	}

	if l.children == nil {
		l.children = make(map[string]*ledger)
	}

	c := &ledger{}
	l.children[token] = c
	return c
}

// choose records that the message's field, or a field beneath it, is given. It fails if the request
// also gave another member of the field's oneof.
func (l *ledger) choose(f protoreflect.FieldDescriptor, name fmt.Stringer) error {
	oneof := realOneof(f)
	if oneof == nil {
		return nil
	}

	before, ok := l.members[oneof.Name()]
	if ok && before.field != f {
		return badField(name.String(), "it and %s are of the oneof %s: only one can be set",
			shown(before.name.String()), oneof.Name())
	}

	if l.members == nil {
		l.members = make(map[protoreflect.Name]member)
	}

	l.members[oneof.Name()] = member{field: f, name: name}
	return nil
}
