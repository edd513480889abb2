package sse

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

func TestAppendEvent(t *testing.T) {
	for _, test := range []struct{ id, name, data, want string }{
		{"7", "tick", `{"a":1}`, "id: 7\nevent: tick\ndata: {\"a\":1}\n\n"},
		{"7", "", "{}", "id: 7\ndata: {}\n\n"},
		{"", "tick", "{}", "event: tick\ndata: {}\n\n"},
		{"", "", "", "data: \n\n"},
		{"", "", "a\nb", "data: a\ndata: b\n\n"},
		{"", "", "a\r\nb", "data: a\ndata: b\n\n"},
		{"", "", "a\rb", "data: a\ndata: b\n\n"},
		{"", "", "a\n\rb", "data: a\ndata: \ndata: b\n\n"},
		{"", "", "a\n\nid: evil\n", "data: a\ndata: \ndata: id: evil\ndata: \n\n"},
		{"", "", "\r\n", "data: \ndata: \n\n"},
		{"", "", "\r", "data: \ndata: \n\n"},
		{"", "", " a", "data:  a\n\n"},
		{"", "", "a\x00b", "data: a\x00b\n\n"},
	} {
		if got := string(AppendEvent([]byte("before"), []byte(test.id), []byte(test.name), []byte(test.data))); got != "before"+test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

func TestAppendName(t *testing.T) {
	for name, want := range map[string]string{
		"":              "",
		"tick":          "tick",
		"Größe":         "Größe",
		"a b":           "a b",
		"message":       "message",
		"error":         "x-error",
		"open":          "x-open",
		"heartbeat":     "x-heartbeat",
		"stream-":       "x-stream-",
		"stream-gap":    "x-stream-gap",
		"Error":         "Error", // event names are case-sensitive
		"errors":        "errors",
		"x-error":       "x-error",
		"streams":       "streams",
		"er\nror":       "x-error",
		"\r\nerror\x00": "x-error",
		"er\xffror":     "x-error",
		"a\nid: evil":   "aid: evil",
		"\xff\xfe":      "",
		"\r\n\x00":      "",
		"a\xc3":         "a",
		"a\uFFFDb":      "a\uFFFDb", // in the name itself, and not an encoding error

		strings.Repeat("x", 64):             strings.Repeat("x", 64),
		strings.Repeat("x", 65):             strings.Repeat("x", 64),
		strings.Repeat("é", 32):             strings.Repeat("é", 32),
		strings.Repeat("é", 33):             strings.Repeat("é", 32),
		"x" + strings.Repeat("é", 32):       "x" + strings.Repeat("é", 31),
		strings.Repeat("x", 63) + "é":       strings.Repeat("x", 63),
		strings.Repeat("x", 61) + "😀":       strings.Repeat("x", 61),
		strings.Repeat("\n", 99) + "y":      "y",
		"stream-" + strings.Repeat("x", 99): "x-stream-" + strings.Repeat("x", 55),
		// The prefix takes two bytes and must not split a character.
		"stream-x" + strings.Repeat("é", 28):      "x-stream-x" + strings.Repeat("é", 27),
		"stream-" + strings.Repeat("é", 28):       "x-stream-" + strings.Repeat("é", 27),
		"stream-x" + strings.Repeat("😀", 14):      "x-stream-x" + strings.Repeat("😀", 13),
		"stream-" + strings.Repeat("x", 53) + "😀": "x-stream-" + strings.Repeat("x", 53),
	} {
		if got := string(AppendName([]byte("é"), []byte(name))); got != "é"+want {
			t.Errorf("%q: %q, want %q", name, got, "é"+want)
		}
	}
}

// A name is one line of valid text, within the limit, and never a reserved name.
func FuzzAppendName(f *testing.F) {
	for _, name := range []string{"tick", "error", "stream-é", "\r\n", "\xff", strings.Repeat("é", 40), "stream-" + strings.Repeat("é", 40)} {
		f.Add([]byte(name))
	}
	f.Fuzz(func(t *testing.T, name []byte) {
		got := AppendName(nil, name)
		switch {
		case len(got) > MaxNameBytes, !utf8.Valid(got), bytes.ContainsAny(got, "\r\n\x00"), ReservedName(string(got)):
			t.Errorf("%q becomes %q", name, got)
		case !bytes.Equal(AppendName(nil, got), got):
			t.Errorf("%q becomes %q, and that %q", name, got, AppendName(nil, got))
		}
		if event := readOne(t, AppendEvent(nil, nil, got, []byte("{}"))); event.Name != string(got) {
			t.Errorf("%q is read as %q", got, event.Name)
		}
	})
}

// readOne parses a stream that must have exactly one event.
func readOne(t *testing.T, stream []byte) ssetest.Event {
	t.Helper()
	parser := ssetest.NewParser(bytes.NewReader(stream))
	event, err := parser.Next()
	if err != nil {
		t.Fatalf("%q: %v", stream, err)
	}
	if more, err := parser.Next(); !errors.Is(err, io.EOF) {
		t.Fatalf("%q holds another event, %+v, %v", stream, more, err)
	}
	return event
}

// Whatever a message has, it is read as one event with that data, with normalised line ends. Nothing in it
// becomes a field.
func FuzzAppendEvent(f *testing.F) {
	for _, data := range []string{"{}", "", "a\nb", "a\r\nb\r\r\n", "\n\nid: evil\n\n", ": x", " a", "\ufeff"} {
		f.Add("id", []byte("name"), []byte(data))
	}
	f.Fuzz(func(t *testing.T, id string, name, data []byte) {
		data = bytes.ToValidUTF8(data, nil)
		text := ParseID(Cursors, id).Text
		event := readOne(t, AppendEvent(nil, []byte(text), AppendName(nil, name), data))
		want := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data))
		if event.ID != text || event.HasID != (text != "") || event.Name != string(AppendName(nil, name)) || event.Data != want {
			t.Errorf("id %q, name %q, data %q are read as %+v", text, name, data, event)
		}
	})
}

func TestPreludeAndHeartbeatsAreNoMessages(t *testing.T) {
	if got := string(AppendPrelude(nil, 3012*time.Millisecond)); got != ": ok\nretry: 3012\n" {
		t.Errorf("%q", got)
	}
	if Heartbeat != ":\n" || HeartbeatEvent != "event: heartbeat\ndata: {}\n\n" {
		t.Errorf("%q, %q", Heartbeat, HeartbeatEvent)
	}
	// Neither makes a block that a client could take for a message, and the next block is read
	// as if they were not there.
	stream := AppendPrelude(nil, time.Second)
	stream = append(stream, Heartbeat+Heartbeat...)
	stream = AppendEvent(stream, nil, nil, []byte("{}"))
	if event := readOne(t, stream); event.Data != "{}" || event.Retry != time.Second {
		t.Errorf("%+v", event)
	}
}
