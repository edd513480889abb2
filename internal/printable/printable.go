// Package printable makes text from outside the program fit to be logged.
package printable

import (
	"strconv"
	"strings"
)

// Text makes a text fit for a log line or a span. It quotes all but printable
// ASCII, and cuts the result to limit bytes. "..." marks a text that was cut.
func Text(text string, limit int) string {
	if len(text) <= limit && !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' || c == '\\' || c == '"' }) {
		return text
	}
	cut := text
	if len(text) > limit {
		cut = text[:limit]
	}
	quoted := strconv.QuoteToASCII(cut)
	quoted = quoted[1 : len(quoted)-1]
	if len(quoted) > limit {
		quoted = quoted[:limit]
	}
	if len(quoted) < len(text) {
		quoted += "..."
	}
	return quoted
}
