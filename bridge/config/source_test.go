package config

import (
	"bytes"
	"strings"
	"testing"
)

func TestSourceRefusesBinaryData(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"not UTF-8", "a: é\nbé: \"\xff\"\n", "app.yaml:2:6: not UTF-8; save the file as UTF-8\n    bé: \"\ufffd\"\n         ^"},
		{"NUL", "a: \x00\n", "app.yaml:1:4: a control character; remove it, or write it as an escape in double quotes\n    a: \ufffd\n       ^"},
		{"lone CR", "a: 1\rb: 2\n", "app.yaml:1:5: a control character; remove it, or write it as an escape in double quotes\n    a: 1\ufffdb: 2\n        ^"},
		{"too large", strings.Repeat("#", maxFileBytes+1), "app.yaml: larger than 1MiB; a configuration is smaller than that"},
	} {
		_, err := Parse("app.yaml", []byte(c.text), nil)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s:\n%v\nwant\n%s", c.name, err, c.want)
		}
	}
	if _, err := newSource("app.yaml", []byte("# \ufffd is a character too\n")); err != nil {
		t.Error(err)
	}
}

func TestSnippetOfLongLine(t *testing.T) {
	long := strings.Repeat("x", 300)
	got := snippet(long, 200)
	text, caret, _ := strings.Cut(got, "\n")
	if n := len([]rune(text)); n != len("    ")+1+snippetWidth+1 {
		t.Errorf("%d characters", n)
	}
	if strings.Index(caret, "^") != len("    ")+1+snippetBefore {
		t.Errorf("caret at %d", strings.Index(caret, "^"))
	}
	if got := snippet("short", 99); got != "    short\n         ^" {
		t.Errorf("%q", got)
	}
	if got := snippet("\tab: x", 6); got != "    \tab: x\n    \t    ^" {
		t.Errorf("%q", got)
	}
}

// Security: neither the depth nor the width of a hostile file ends the process.
func TestHostileFilesAreBounded(t *testing.T) {
	for name, unit := range map[string]string{
		"lists": "[", "maps": "{", "nested maps": "{a: ", "dashes": "- ", "questions": "? ", "tags": "! ", "anchors": "&a ",
		"closing": "]", "quotes": "\"", "aliases": "*a ", "colons": ": ", "keys": "a: ", "pipes": "| ", "commas": ",",
		"empty maps": "{}", "documents": "---\na\n", "empty documents": "---\n", "document ends": "...\na\n", "comments": "#\n",
	} {
		text := bytes.Repeat([]byte(unit), 20_000/len(unit))
		if _, err := Parse("app.yaml", text, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := Parse("app.yaml", append([]byte(minimal+"    done: "), text...), nil); err == nil {
			t.Errorf("%s in a value: accepted", name)
		}
	}
	var steps strings.Builder
	for i := range 400 {
		steps.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	if _, err := Parse("app.yaml", []byte(steps.String()), nil); err == nil {
		t.Error("400 levels of indentation: accepted")
	}
}
