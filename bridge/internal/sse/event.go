package sse

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxNameBytes is the length of the longest event name. Longer names are cut.
const MaxNameBytes = 64

// AppendEvent appends one event. An empty id or name omits its line. The id comes from this package and the
// name from AppendName. Data with line ends becomes several data lines, as the standard requires.
func AppendEvent(dst, id, name, data []byte) []byte {
	if len(id) > 0 {
		dst = append(dst, "id: "...)
		dst = append(dst, id...)
		dst = append(dst, '\n')
	}
	if len(name) > 0 {
		dst = append(dst, "event: "...)
		dst = append(dst, name...)
		dst = append(dst, '\n')
	}
	return append(appendData(dst, data), '\n')
}

func appendData(dst, data []byte) []byte {
	for bytes.IndexByte(data, '\n') >= 0 || bytes.IndexByte(data, '\r') >= 0 {
		end := bytes.IndexAny(data, "\r\n")
		dst = append(dst, "data: "...)
		dst = append(dst, data[:end]...)
		dst = append(dst, '\n')
		if bytes.HasPrefix(data[end:], []byte("\r\n")) {
			end++
		}
		data = data[end+1:]
	}
	dst = append(dst, "data: "...)
	dst = append(dst, data...)
	return append(dst, '\n')
}

// AppendName appends an event name that comes from a message. It removes line ends and NUL, and cuts the
// name at MaxNameBytes, between characters. A reserved name gets the prefix "x-": otherwise a oneof member
// called error would call the page's onerror.
func AppendName(dst []byte, name []byte) []byte {
	start := len(dst)
	for len(name) > 0 {
		r, size := utf8.DecodeRune(name)
		name = name[size:]
		if r == '\r' || r == '\n' || r == 0 || (r == utf8.RuneError && size == 1) {
			continue
		}
		if len(dst)-start+utf8.RuneLen(r) > MaxNameBytes {
			break
		}
		dst = utf8.AppendRune(dst, r)
	}
	if !ReservedName(string(dst[start:])) {
		return dst
	}
	dst = slices.Insert(dst, start, 'x', '-')
	end := min(len(dst), start+MaxNameBytes)
	for end < len(dst) && !utf8.RuneStart(dst[end]) {
		end--
	}
	return dst[:end]
}

// ReservedName reports whether an event name has a meaning in browsers or in the bridge: error, open,
// heartbeat, and names that begin with "stream-".
func ReservedName(name string) bool {
	return name == "error" || name == "open" || name == "heartbeat" || strings.HasPrefix(name, "stream-")
}

// Heartbeat is the comment line that keeps a silent connection alive. No empty line follows it: two of
// eight SSE libraries that were tried deliver an empty block as a message.
const Heartbeat = ":\n"

// HeartbeatEvent is the heartbeat that a page receives as an event. It has no id.
const HeartbeatEvent = "event: heartbeat\ndata: {}\n\n"

// AppendPrelude appends the first bytes of a route without ids: a comment and the reconnection time,
// without an empty line, since four of those eight libraries deliver a block with only retry as a message.
func AppendPrelude(dst []byte, retry time.Duration) []byte {
	return appendRetryLine(append(dst, ": ok\n"...), retry)
}

func appendRetryLine(dst []byte, retry time.Duration) []byte {
	dst = append(dst, "retry: "...)
	dst = strconv.AppendInt(dst, retry.Milliseconds(), 10)
	return append(dst, '\n')
}
