// Package printable makes text from outside the program fit to be logged.
package printable

import (
	"strconv"
	"strings"
)

// Text cuts a text to at most so many bytes and quotes what is not printable ASCII, for a
// log line or a span. "..." marks a text that was cut. Printable characters are left as
// they are.
func Text(text string, most int) string {
	if len(text) <= most && !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' || c == '\\' || c == '"' }) {
		return text
	}
	cut := text
	if len(text) > most {
		cut = text[:most]
	}
	quoted := strconv.QuoteToASCII(cut)
	quoted = quoted[1 : len(quoted)-1]
	if len(quoted) > most {
		quoted = quoted[:most]
	}
	if len(quoted) < len(text) {
		quoted += "..."
	}
	return quoted
}
