package sse

import (
	"strconv"
	"strings"
)

const (
	// MaxIDBytes is the longest id on the wire.
	MaxIDBytes = 4 << 10
	// MaxCursorBytes is the longest escaped cursor; a longer one is an error
	// of its message. The rest is for ordinals and the final mark.
	MaxCursorBytes = MaxIDBytes - 32

	noID      = "~0"
	finalMark = "~end"
)

// FinalID returns the id of a stream's end, after the id of the last frame; it is
// empty for an end that is not the log's. A client that comes back with it is told
// to stop. A checksum before the mark tells it from text that no bridge wrote. It
// has no key, so that it holds after a restart and at other replicas.
func FinalID(last string) string { return last + "~" + finalSum(last) + finalMark }

func finalSum(last string) string { return checksum("end " + last) }

// isFinal reports whether a text is one that FinalID returns.
func isFinal(text string) bool {
	rest, marked := strings.CutSuffix(text, finalMark)
	at := strings.LastIndexByte(rest, '~')
	return marked && at >= 0 && len(text) <= MaxIDBytes && isPrintable(text) && rest[at+1:] == finalSum(rest[:at])
}

// isPrintable reports whether a text may stand in an id line as it is.
func isPrintable(text string) bool {
	return strings.TrimSpace(text) == text && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

// Mode says what the ids of a route are.
type Mode int

// The modes of a route's ids.
const (
	Positions Mode = iota // <epoch>-<seq>: no event.id
	Cursors               // a field of the message: event.id names it
	None                  // no ids: event.id is ""
)

// ID is an id that a client came back with, taken apart. The zero ID is none.
//
// Text that no bridge has written parses into an ID that no log holds; it is never
// an error, and the client is sent a gap.
type ID struct {
	// Text is the id in the bridge's own spelling: what a log's frames are
	// compared with, and what stream-open repeats. Empty: no id.
	Text string
	// Epoch and Seq are set if the id is a position in a log.
	Epoch string
	Seq   uint64
	// Cursor is set if the id is a cursor of the backend's: its value, as it
	// is put into a request. Base is the id of the cursor itself, and Ordinal
	// how many frames the client has got since the last message with it.
	Cursor  []byte
	Base    string
	Ordinal uint64
	// Final is set if the client has seen the end of its stream.
	Final bool
}

// ParseID reads a Last-Event-ID (or its query form) of a route with ids of
// the given mode.
func ParseID(mode Mode, text string) ID {
	if text == "" || text == noID {
		return ID{}
	}
	if isFinal(text) {
		return ID{Text: text, Final: true}
	}
	switch mode {
	case None:
		return ID{} // nothing to resume, whatever it says
	case Positions:
		return parsePosition(text, text)
	case Cursors:
		if position, ok := strings.CutPrefix(text, "~"); ok {
			return parsePosition(text, position)
		}
	}
	return parseCursor(text)
}

// parsePosition reads <epoch>-<seq>. Anything else, such as an epoch without its
// checksum, matches no log.
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

// parseCursor reads <cursor> and <cursor>~n. It spells them as the bridge does,
// so that a proxy or a client that escapes more than it must still finds its
// place.
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
		return ID{Text: printable(text)} // no event has had it
	}
	return id
}

// printable makes any text safe inside an id line: what is not printable
// ASCII is percent-encoded, and it is cut at MaxCursorBytes.
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

// AppendCursor appends a backend's cursor as an id: "%", "~", spaces at the
// edges and all that is not printable ASCII are percent-encoded.
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

// isPlain reports whether a byte stands for itself anywhere in a cursor.
func isPlain(c byte) bool { return c > ' ' && c < 0x7f && c != '%' && c != '~' }

func appendEscaped(dst []byte, c byte) []byte {
	const hex = "0123456789ABCDEF"
	return append(dst, '%', hex[c>>4], hex[c&15])
}

// unescape undoes AppendCursor; ok is false where an escape is malformed.
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
