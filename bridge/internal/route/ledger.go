package route

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// ledger holds what the body and the query have given of a message, so that they
// do not meet. It is a tree by canonical token: a message's fields, a map's
// entries. Its zero value is empty.
type ledger struct {
	children map[string]*ledger
	// texts counts the parameters of a query that are JSON, in the ledger of the request.
	texts int
	// from is the source of the value here, "" for none.
	from origin
	// members has, by oneof, the member that was given.
	members map[protoreflect.Name]member
}

type origin string

const (
	fromBody  origin = "body"
	fromQuery origin = "query"
	// The route's own sources meet nothing else and have no ledger.
	fromHeader origin = "header"
	fromRoute  origin = "route"
)

// member is a oneof's member and how the client named it. A name is made into a
// string only for an error: in a deep body it would cost more than the body.
type member struct {
	field protoreflect.FieldDescriptor
	name  fmt.Stringer
}

// queryName is a name in a query.
type queryName string

// String returns the name.
func (n queryName) String() string { return string(n) }

// child returns the ledger of what is beneath a token.
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

// choose notes that a field of the message, or something beneath it, is given.
// Its error is that another member of the field's oneof was.
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
