package route

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxEcho is how many bytes of what a client sent an error repeats.
const maxEcho = 64

// Error is a request that cannot be served as it was sent: the client's fault.
// Its texts are safe to log and to send: what they repeat of the request is
// quoted, printable and cut.
type Error struct {
	// Status is the HTTP status: 400, 404, 405, 413, 414 or 415.
	Status int
	// Field names what was wrong, as the client named it: a field path, a
	// header's name, or "" where the request as a whole was wrong.
	Field string
	// Message says what was wrong with it, without naming it again.
	Message string
	// Allow lists the methods of the path, sorted, with a Status of 405.
	Allow []string
}

// Error returns the field and the message.
func (e *Error) Error() string {
	if e.Field == "" {
		return e.Message
	}

	return e.Field + ": " + e.Message
}

// badField is the 400 that names a field.
func badField(field, format string, args ...any) error {
	return &Error{Status: http.StatusBadRequest, Field: shown(field), Message: fmt.Sprintf(format, args...)}
}

// badRequest is the 400 about the request as a whole.
func badRequest(format string, args ...any) error {
	return &Error{Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

// shown returns a name that a client wrote in a form fit for a message: as it is
// when it is short and plain, else quoted and cut.
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

// quoted returns a value that a client sent in quotes, in ASCII, cut to maxEcho.
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

// printable returns s with everything that does not print replaced by its
// escape, so that it can stand in a message unquoted.
func printable(s string) string {
	var b strings.Builder

	for _, r := range s {
		if strconv.IsPrint(r) && r != utf8.RuneError {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}

	return b.String()
}
