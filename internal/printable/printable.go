// Package printable makes text from outside the program fit to be logged.
package printable

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
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

// Line makes a text one line of printable characters, and cuts it after most bytes; "…" marks a
// text that was cut. A line break becomes a space, so that a page or a list of errors stays
// readable, and any other character that is not printable becomes "?".
func Line(text string, most int) string {
	cut := len(text) > most
	if cut {
		text = text[:most]
	}
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case r == unicode.ReplacementChar || !unicode.IsPrint(r):
			return '?'
		default:
			return r
		}
	}, text)
	if cut {
		text += "…"
	}
	return text
}

// Escape replaces each character of a text that is not printable by its escape, so that an error
// can contain the text unquoted.
func Escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strconv.IsPrint(r) && r != utf8.RuneError {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}
