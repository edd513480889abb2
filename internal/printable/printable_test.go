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
