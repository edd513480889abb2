package sse

import (
	"strconv"
	"strings"
)

const (
	// MaxIDBytes is the length of the longest id on the wire.
	MaxIDBytes = 4 << 10
	// MaxCursorBytes is the length of the longest escaped cursor. A message with a longer one is an
	// error. The difference to MaxIDBytes has room for ordinals and the final mark.
	MaxCursorBytes = MaxIDBytes - 32

	noID      = "~0"
	finalMark = "~end"
)

// FinalID returns the id of a stream's end. last is the id of the last frame, or empty if the stream ends
// for another reason than its log's end. A client that returns with it is answered 204, so that it stops. A
// checksum distinguishes the id from text that no bridge has made. It has no key, so that it also holds
// after a restart and at other replicas.
func FinalID(last string) string { return last + "~" + finalSum(last) + finalMark }

func finalSum(last string) string { return checksum("end " + last) }

// isFinal reports whether FinalID can have returned the text.
func isFinal(text string) bool {
	rest, marked := strings.CutSuffix(text, finalMark)
	at := strings.LastIndexByte(rest, '~')
	return marked && at >= 0 && len(text) <= MaxIDBytes && isPrintable(text) && rest[at+1:] == finalSum(rest[:at])
}

// isPrintable reports whether text can be in an id line without escaping.
func isPrintable(text string) bool {
	return strings.TrimSpace(text) == text && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

// Mode is the kind of a route's ids.
type Mode int

// The kinds of ids.
const (
	Positions Mode = iota // <epoch>-<seq>: no event.id
	Cursors               // a field of the message: event.id names it
	None                  // no ids: event.id is ""
)

// ID is a parsed id that a client has returned with. The zero ID is no id.
//
// Text that no bridge has made is not an error: it parses into an ID that matches no log, and the client
// gets a gap.
type ID struct {
	// Text is the id in the bridge's own spelling, which is compared with the ids of frames and
	// repeated in stream-open. It is empty if there is no id.
	Text string
	// Epoch and Seq are set for a position in a log.
	Epoch string
	Seq   uint64
	// Cursor is set for a cursor of the backend: its value as it is put into a request. Base is the id
	// of the cursor itself. Ordinal is how many frames the client has received after the last message
	// with that cursor.
	Cursor  []byte
	Base    string
	Ordinal uint64
	// Final is set for an id of FinalID.
	Final bool
}

// ParseID parses a Last-Event-ID, of the header or of the query, of a route with the given kind of ids.
func ParseID(mode Mode, text string) ID {
	if text == "" || text == noID {
		return ID{}
	}
	if isFinal(text) {
		return ID{Text: text, Final: true}
	}
	switch mode {
	case None:
		return ID{} // there is nothing to resume
	case Positions:
		return parsePosition(text, text)
	case Cursors:
		if position, ok := strings.CutPrefix(text, "~"); ok {
			return parsePosition(text, position)
		}
	}
	return parseCursor(text)
}

// parsePosition parses <epoch>-<seq>. Any other text, such as an epoch with a wrong checksum, matches no
// log.
func parsePosition(text, position string) ID {
	epoch, digits, ok := strings.Cut(position, "-")
	if !ok || !isEpoch(epoch) {
		return ID{Text: printable(text)}
	}
	seq, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || (len(digits) > 1 && digits[0] == '0') {
		return ID{Text: printable(text)}
	}
	return ID{Text: text, Epoch: epoch, Seq: seq}
}

// parseCursor parses <cursor> and <cursor>~n. It normalises the escaping, so that the id is still found if a
// proxy or a client has escaped more than necessary.
func parseCursor(text string) ID {
	base, digits, counted := strings.Cut(text, "~")
	cursor, ok := unescape(base)
	if !ok || len(cursor) == 0 {
		return ID{Text: printable(text)}
	}
	id := ID{Cursor: cursor, Base: string(AppendCursor(nil, cursor))}
	id.Text = id.Base
	if counted {
		ordinal, err := strconv.ParseUint(digits, 10, 64)
		if err != nil || ordinal == 0 || digits[0] == '0' {
			return ID{Text: printable(text)}
		}
		id.Ordinal = ordinal
		id.Text += "~" + digits
	}
	if len(id.Base) > MaxCursorBytes {
		return ID{Text: printable(text)} // no event has had such an id
	}
	return id
}

// printable makes text safe for an id line: it percent-encodes everything that is not printable ASCII and
// cuts the result at MaxCursorBytes.
func printable(text string) string {
	safe := make([]byte, 0, min(len(text), MaxCursorBytes))
	for i := range len(text) {
		before := len(safe)
		if c := text[i]; (c > ' ' && c < 0x7f) || (c == ' ' && i > 0 && i < len(text)-1) {
			safe = append(safe, c)
		} else {
			safe = appendEscaped(safe, c)
		}
		if len(safe) > MaxCursorBytes {
			return strings.TrimRight(string(safe[:before]), " ")
		}
	}
	return string(safe)
}

// AppendPosition appends <epoch>-<seq>.
func AppendPosition(dst []byte, epoch string, seq uint64) []byte {
	dst = append(dst, epoch...)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, seq, 10)
}

// AppendCursor appends a backend's cursor as an id. It percent-encodes "%", "~", spaces at the ends and
// everything that is not printable ASCII.
func AppendCursor(dst, cursor []byte) []byte {
	for i, c := range cursor {
		if isPlain(c) || (c == ' ' && i > 0 && i < len(cursor)-1) {
			dst = append(dst, c)
		} else {
			dst = appendEscaped(dst, c)
		}
	}
	return dst
}

// isPlain reports whether a byte needs no escaping anywhere in a cursor.
func isPlain(c byte) bool { return c > ' ' && c < 0x7f && c != '%' && c != '~' }

func appendEscaped(dst []byte, c byte) []byte {
	const hex = "0123456789ABCDEF"
	return append(dst, '%', hex[c>>4], hex[c&15])
}

// unescape reverses AppendCursor. ok is false for a malformed escape.
func unescape(text string) (raw []byte, ok bool) {
	raw = make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			raw = append(raw, text[i])
			continue
		}
		if i+2 >= len(text) {
			return nil, false
		}
		c, err := strconv.ParseUint(text[i+1:i+3], 16, 8)
		if err != nil {
			return nil, false
		}
		raw = append(raw, byte(c))
		i += 2
	}
	return raw, true
}
