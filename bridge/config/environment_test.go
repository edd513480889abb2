package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExpand(t *testing.T) {
	env := map[string]string{"A": "a", "EMPTY": "", "TRICK": "${A} $$ $A [x]", "_1": "under"}
	for _, c := range []struct {
		text, want string
		fromEnv    bool
	}{
		{"", "", false},
		{"plain", "plain", false},
		{"${A}", "a", true},
		{"x${A}y${A}z", "xayaz", true},
		{"${A:-b}", "a", true},
		{"${NOPE:-b}", "b", true},
		{"${EMPTY:-b}", "b", true},
		{"${NOPE:-}", "", true},
		{"${EMPTY}", "", true},
		{"${NOPE:-a:-b}", "a:-b", true},
		{"${NOPE:-$$}", "$$", true}, // a default is taken as it is
		{"$$", "$", false},
		{"$${A}", "${A}", false},
		{"$$$$", "$$", false},
		{"$$${A}", "$a", true},
		{"${TRICK}", "${A} $$ $A [x]", true}, // and so is a value
		{"${_1}", "under", true},
	} {
		got, fromEnv, err := expand(c.text, lookupIn(env))
		if err != nil || got != c.want || fromEnv != c.fromEnv {
			t.Errorf("%q: %q, %t, %v; want %q, %t", c.text, got, fromEnv, err, c.want, c.fromEnv)
		}
	}
}

func TestExpandRefuses(t *testing.T) {
	for _, text := range []string{"$", "a$b", "${", "${A", "${}", "${1A}", "${A-b}", "${A b}", "${NOPE}", "${:-b}", "$(A)"} {
		if got, _, err := expand(text, lookupIn(map[string]string{"A": "secret"})); err == nil {
			t.Errorf("%q: %q", text, got)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the message contains the value: %v", text, err)
		}
	}
	if _, _, err := expand("${A}", nil); err == nil {
		t.Error("a variable without an environment is accepted")
	}
}

// A variable's value never becomes YAML structure, and every kind of scalar accepts one as text.
func TestVariablesInAFile(t *testing.T) {
	text := minimal + `    done: ${STRUCTURE}
    retry: ${DURATION}
    replay: {events: "${NUMBER}", bytes: "${SIZE}"}
    event: {emit_defaults: "${BOOL}", name: "pre-${WORD}"}
    request:
      query: ${BOOL}
      set: {text: "${NUMBER}", list: ["${WORD}", 2], literal: "$${WORD}"}
    trailers: ["${WORD}"]
`
	file, err := Parse("app.yaml", []byte(text), lookupIn(map[string]string{
		"STRUCTURE": "{a: [b]} # &c", "DURATION": "1m", "NUMBER": "7", "SIZE": "2KiB", "BOOL": "true", "WORD": "w",
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := Route{
		Path: "/a/{id}", RPC: "p.S/M", Upstream: "app", Done: "{a: [b]} # &c", Retry: seconds(60),
		Replay:   Replay{Events: 7, Bytes: 2 * KiB},
		Event:    Event{EmitDefaults: true, Name: EventName{Constant: "pre-w"}},
		Trailers: []string{"w"},
		Request: Request{
			Query: Fields{All: true},
			Set:   map[string]any{"text": "7", "list": []any{"w", int64(2)}, "literal": "${WORD}"},
		},
	}
	if diff := cmp.Diff(want, file.Config.Routes[0]); diff != "" {
		t.Errorf("route (-want +got):\n%s", diff)
	}
}

// Security: no error of this package contains a value from the environment, whatever the error and its
// position, and the snippet that Locate adds to a later error shows the variable. (The author of a
// later error is responsible for its message.)
func TestSecretsReachNoMessage(t *testing.T) {
	const secret = "hunter2 \x1b[31m"
	base := string(readFile(t, "../../examples/ssebridge.yaml"))
	replaced := 0
	for line := range strings.SplitSeq(base, "\n") {
		key, value, found := strings.Cut(line, ": ")
		if !found || strings.HasPrefix(strings.TrimSpace(line), "#") || strings.TrimSpace(value) == "" {
			continue
		}
		broken := strings.Replace(base, line, key+`: "${SECRET}"`, 1)
		if _, err := Parse("app.yaml", []byte(broken), lookupIn(map[string]string{"SECRET": secret})); err != nil {
			replaced++
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
	if replaced < 40 {
		t.Errorf("only %d values were wrong", replaced)
	}

	file, err := Parse("app.yaml", []byte(strings.Replace(minimal, "p.S/M", "p.S/${M}", 1)), lookupIn(map[string]string{"M": "Hunter2"}))
	if err != nil {
		t.Fatal(err)
	}
	located := file.Locate(Errorf("routes[0].rpc", "there is no such method"))
	if strings.Contains(located.Error(), "Hunter2") || !strings.Contains(located.Error(), "${M}") {
		t.Error(located)
	}
}
