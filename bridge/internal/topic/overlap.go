package topic

import (
	"bytes"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// overlap is what a reopened RPC may send again. It ends with the first message
// that is new.
type overlap struct {
	rules  Cursors
	cursor []byte // that the RPC was opened at; nil: no overlap is under way
	left   uint64 // messages after the cursor that the log has already
	// unordered: the cursor's own message need not be the first.
	unordered bool
	// again is set once the cursor's own message has come again; passed once
	// another one has followed it.
	again, passed bool
}

// begin expects what an RPC opened at a cursor sends again.
func (o *overlap) begin(rules Cursors, cursor []byte, since uint64) {
	*o = overlap{rules: rules, cursor: bytes.Clone(cursor), left: since}
}

// drops reports whether the log has the message already. A reason says that the
// backend does not go on from the cursor: a gap is to be told, and the message
// to be delivered.
func (o *overlap) drops(m Message) (drop bool, lost reason.Gap) {
	if o.cursor == nil {
		return false, ""
	}
	if o.rules.Inclusive && !o.passed {
		if bytes.Equal(m.Cursor, o.cursor) {
			o.again = true
			return true, ""
		}
		switch {
		case !o.again && o.unordered:
			return false, "" // it may still come
		case !o.again:
			o.cursor = nil
			return false, reason.GapExpired
		}
		o.passed = true
	}
	if len(m.Cursor) > 0 {
		if before := o.rules.NotAfter; !o.rules.Inclusive && before != nil && before(m.Cursor, o.cursor) {
			o.cursor = nil
			return false, reason.GapRestarted
		}
		if !o.rules.Repeats || o.left == 0 {
			o.cursor = nil
			return false, ""
		}
	}
	if o.left == 0 {
		return false, "" // new, and without a cursor; the first with one may still be too old
	}
	o.left--
	return true, ""
}
