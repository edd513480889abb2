package route

import (
	"fmt"
	"net/http"
	"strconv"
	"unicode/utf8"
)

// maxEcho is how many bytes of a client's input an error repeats.
const maxEcho = 64

// Error reports a request that cannot be served because of the client's mistake. Its texts are safe to
// log and to send: the client's input in them is quoted, printable and cut.
type Error struct {
	// Status is the HTTP status: 400, 403, 404, 405, 413, 414 or 415.
	Status int
	// Field is a field path or a header's name in the client's spelling. It is "" if the error is about
	// the whole request.
	Field string
	// Message is the problem, without the name of the field.
	Message string
	// Allow lists the methods of the path, sorted, if Status is 405.
	Allow []string
}

// Error returns the field and the message.
func (e *Error) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

// badField returns a 400 that names a field.
func badField(field, format string, args ...any) error {
	return &Error{Status: http.StatusBadRequest, Field: shown(field), Message: fmt.Sprintf(format, args...)}
}

// badRequest returns a 400 about the whole request.
func badRequest(format string, args ...any) error {
	return &Error{Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

// shown returns a client's name in a form fit for an error: unchanged if it is short and plain, else
// quoted and cut.
func shown(name string) string {
	if name == "" || len(name) > maxEcho {
		return quoted(name)
	}

	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f {
			return quoted(name)
		}
	}
	return name
}

// quoted returns a client's value in quotes, in ASCII, cut to maxEcho.
func quoted(value string) string {
	if len(value) <= maxEcho {
		return strconv.QuoteToASCII(value)
	}
	return strconv.QuoteToASCII(cut(value)) + "…"
}

// cut returns the first maxEcho bytes of s without splitting a character.
func cut(s string) string {
	if len(s) <= maxEcho {
		return s
	}

	end := maxEcho
	for end > maxEcho-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
