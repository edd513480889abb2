package config

import "strings"

// event checks how messages become events.
func (v *validator) event(e Event, at place) {
	if e.ID != nil && *e.ID != "" && !isFieldPath(*e.ID) {
		v.errorf(at.key("id").path, `must be the path of a field, such as seq or meta.version, or "" for no ids`)
	}
	cursor := at.key("cursor")
	v.enum(cursor, e.Cursor)
	if v.isWritten(cursor.path, e.Cursor != "" && e.Cursor != CursorUnique) {
		switch {
		case v.refused(at.key("id").path):
		case e.ID == nil:
			v.errorf(cursor.path, "event.cursor has no effect without event.id: the bridge numbers the events itself; remove it, or name the field in event.id")
		case *e.ID == "":
			v.noEffect(cursor.path, "event.cursor", `event.id: ""`)
		}
	}
	v.eventName(e.Name, at.key("name"))
	v.part(e.Data.Field, e.Data.Oneof, "", at.key("data"))
}

func (v *validator) eventName(n EventName, at place) {
	v.part(n.Field, n.Oneof, n.Constant, at)
	const most = 64
	switch name := n.Constant; {
	case name == "":
		if n.Field == "" && n.Oneof == "" && v.has(at.path) &&
			!v.has(at.key("field").path) && !v.has(at.key("oneof").path) {
			v.errorf(at.path, "must not be empty; leave the key out for no name")
		}
	case name == "error", name == "open", name == "heartbeat", strings.HasPrefix(name, "stream-"):
		v.errorf(at.path, "error, open, heartbeat and names that begin with stream- are taken; choose another name")
	case len(name) > most:
		v.errorf(at.path, "must be at most %d bytes", most)
	case !isPrintable(name) || strings.TrimSpace(name) != name:
		v.errorf(at.path, "must be one line of printable characters without spaces at its edges")
	}
}

// part checks a key's forms {field:}, {oneof:} and constant: at most one of them, and each well-formed.
func (v *validator) part(field, oneof, constant string, at place) {
	set := 0
	for _, value := range []string{field, oneof, constant} {
		if value != "" {
			set++
		}
	}
	fieldPath, oneofPath := at.key("field").path, at.key("oneof").path
	switch {
	case set > 1:
		v.errorf(at.path, "has more than one form; keep one of them")
	case field != "" && !isFieldPath(field), field == "" && v.has(fieldPath):
		v.errorf(fieldPath, "must be the path of a field, such as kind or meta.kind")
	case oneof != "" && !isIdentifier(oneof), oneof == "" && v.has(oneofPath):
		v.errorf(oneofPath, "must be the name of a oneof of the message")
	}
}
