package printable

import (
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "",
		"/a b/c?d":             "/a b/c?d",
		"a\nb":                 `a\nb`,
		"é":                    `\u00e9`,
		"\xff":                 `\xff`,
		`a"\`:                  `a\"\\`,
		"0123456789abcdef":     "0123456789abcdef",
		"0123456789abcdefg":    "0123456789abcdef...",
		"\x00\x00\x00\x00\x00": `\x00\x00\x00\x00`,
	} {
		if got := Text(text, 16); !strings.HasPrefix(got, want) || len(got) > 16+len("...") {
			t.Errorf("%q is shown as %s, want %s", text, got, want)
		}
	}
}

func TestLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                  "",
		"a\nb\r\tc":         "a b  c",
		"é\x00\xff":         "é??",
		"0123456789abcdefg": "0123456789abcdef…",
	} {
		if got := Line(text, 16); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestEscape(t *testing.T) {
	for text, want := range map[string]string{"": "", "a b é": "a b é", "a\nb": `a\nb`, "\x00\xff": `\x00\ufffd`} {
		if got := Escape(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
