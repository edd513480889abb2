package config

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParse checks that Parse neither panics nor hangs on any bytes, that each error is an *Error with
// a position in the file and printable text, and that an accepted file is valid with its defaults.
func FuzzParse(f *testing.F) {
	f.Add(readSeed(f, "../../examples/ssebridge.yaml"))
	f.Add(readSeed(f, "../../examples/health.yaml"))
	for _, seed := range []string{
		minimal, oneUpstream, "", "a: &x [*x]", "{[}]", "? {a: b}\n: - c", "a: |2-\n  b\n", "\t", "%TAG ! x\n---\na", "a: \"\\U0001F600\"",
		minimal + "    done: ${SECRET}\n", minimal + "    done: $${A}$", "'", "- - - a\n- ? b", "a:\n- b\n-", "!!map {a: 1}", "<<: *a", "a: 'b\n\n c'",
		minimal + "    request: {set: {a: .inf, b: -.inf, c: .nan, d: 0x1F, e: 0o7, f: 1_0}}\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("fuzz.yaml", data, lookupIn(map[string]string{"SECRET": "hunter2"}))
		if err == nil {
			if err := file.Config.WithDefaults().Validate(); err != nil {
				t.Errorf("accepted, but with its defaults: %v", err)
			}
			return
		}
		var errs Errors
		if !errors.As(err, &errs) || len(errs) == 0 {
			t.Fatalf("%T", err)
		}
		lines := strings.Count(string(data), "\n") + 1
		for _, e := range errs {
			if e.File != "fuzz.yaml" || e.Line > lines || e.Message == "" || strings.Contains(e.Message, "\n") {
				t.Errorf("%#v", e)
			}
		}
		if text := err.Error(); !utf8.ValidString(text) || strings.Contains(text, "\x1b") ||
			strings.Contains(text, "hunter2") && !strings.Contains(string(data), "hunter2") {
			t.Errorf("%q", text)
		}
	})
}

func readSeed(f *testing.F, name string) []byte {
	f.Helper()
	file, err := Load(name)
	if err != nil {
		f.Fatal(err)
	}
	return []byte(file.src.text)
}
