package topic

import (
	"bytes"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// overlap is what a reopened RPC may send again. It ends with the first new message.
type overlap struct {
	rules  Cursors
	cursor []byte // at which the RPC was opened; nil: there is no overlap
	left   uint64 // messages after the cursor that the log has
	// unordered: the cursor's own message need not be the first one of an inclusive RPC.
	unordered bool
	// again: the cursor's own message has come again. passed: a message with another cursor, or with
	// none, has come after it.
	again, passed bool
}

// begin expects what an RPC that was opened at a cursor sends again.
func (o *overlap) begin(rules Cursors, cursor []byte, since uint64) {
	*o = overlap{rules: rules, cursor: bytes.Clone(cursor), left: since}
}

// drops reports whether the log has the message already. A reason says that the backend does not
// continue from the cursor: the message is delivered behind a gap.
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
