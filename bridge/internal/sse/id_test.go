package sse

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

const epoch = "ABCDEFGHIJKLMNOPQRST6JNXY2"

// unsafeID describes why an id must not be in an id line. It returns "" for a safe id.
func unsafeID(id string) string {
	switch {
	case len(id) > MaxIDBytes:
		return "too long"
	case strings.TrimSpace(id) != id:
		return "has edge spaces"
	case strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' }):
		return "is not printable ASCII"
	}
	return ""
}

func TestParseID(t *testing.T) {
	position := func(text string, seq uint64) ID { return ID{Text: text, Epoch: epoch, Seq: seq} }
	text := func(text string) ID { return ID{Text: text} }
	cursor := func(base string, ordinal uint64) ID {
		value, err := url.PathUnescape(base)
		if err != nil {
			t.Fatal(err)
		}
		id := ID{Text: base, Cursor: []byte(value), Base: base, Ordinal: ordinal}
		if ordinal > 0 {
			id.Text = fmt.Sprintf("%s~%d", base, ordinal)
		}
		return id
	}
	final := func(text string) ID { return ID{Text: text, Final: true} }
	for _, test := range []struct {
		mode Mode
		text string
		want ID
	}{
		{Positions, "", ID{}},
		{Positions, "~0", ID{}},
		{Positions, epoch + "-0", position(epoch+"-0", 0)},
		{Positions, epoch + "-17", position(epoch+"-17", 17)},
		{Positions, epoch + "-18446744073709551615", position(epoch+"-18446744073709551615", 1<<64-1)},
		{Positions, epoch + "-18446744073709551616", text(epoch + "-18446744073709551616")},
		{Positions, epoch + "-007", text(epoch + "-007")},
		{Positions, epoch + "-+7", text(epoch + "-+7")},
		{Positions, epoch + "--7", text(epoch + "--7")},
		{Positions, epoch + "-1_000", text(epoch + "-1_000")},
		{Positions, epoch + "-", text(epoch + "-")},
		{Positions, epoch, text(epoch)},
		{Positions, strings.ToLower(epoch) + "-1", text(strings.ToLower(epoch) + "-1")},
		{Positions, epoch[1:] + "-1", text(epoch[1:] + "-1")},
		{Positions, "~" + epoch + "-1", text("~" + epoch + "-1")},
		{Positions, FinalID(""), final(FinalID(""))},
		{Positions, FinalID(epoch + "-17"), final(FinalID(epoch + "-17"))},
		{Positions, "~end", text("~end")},
		{Positions, epoch + "-17~end", text(epoch + "-17~end")},
		{Positions, epoch + "-17~ABC~end", text(epoch + "-17~ABC~end")},
		{Positions, "a\nid: b", text("a%0Aid: b")},
		{Positions, " a b ", text("%20a b%20")},
		{Positions, "\x00\x7f\xff", text("%00%7F%FF")},

		{Cursors, "", ID{}},
		{Cursors, "~0", ID{}},
		{Cursors, "0", cursor("0", 0)},
		{Cursors, "1234", cursor("1234", 0)},
		{Cursors, "two words", cursor("two words", 0)},
		{Cursors, "a%20b", cursor("a b", 0)}, // with more escaping than necessary
		{Cursors, "a%2fb", cursor("a/b", 0)}, // in lower case
		{Cursors, "caf%c3%A9", cursor("caf%C3%A9", 0)},
		{Cursors, "café", cursor("caf%C3%A9", 0)}, // with less escaping than the bridge's
		{Cursors, "100%", text("100%")},
		{Cursors, "%zz", text("%zz")},
		{Cursors, "%7E", cursor("%7E", 0)},
		{Cursors, "c~3", cursor("c", 3)},
		{Cursors, "a%2Fb~3", cursor("a/b", 3)},
		{Cursors, "c~\r\n", text("c~%0D%0A")},
		{Cursors, epoch + "-3", cursor(epoch+"-3", 0)}, // a cursor may look like a position
		{Cursors, "~" + epoch + "-3", position("~"+epoch+"-3", 3)},
		{Cursors, "~" + epoch, text("~" + epoch)},
		{Cursors, "~", text("~")},
		{Cursors, "~~", text("~~")},
		{Cursors, FinalID(""), final(FinalID(""))},
		{Cursors, FinalID("c"), final(FinalID("c"))},
		{Cursors, FinalID("c~3"), final(FinalID("c~3"))},
		{Cursors, "d" + FinalID("c"), text("d" + FinalID("c"))},
		{Cursors, FinalID("a\n"), text("a%0A" + FinalID("a\n")[2:])},
		{Cursors, "~end", text("~end")},
		{Cursors, "c~end", text("c~end")},
		{Cursors, "c~ABC~end", text("c~ABC~end")},
		{Cursors, "%7Eend", cursor("%7Eend", 0)}, // the backend's own "~end"

		{None, "", ID{}},
		{None, "whatever", ID{}},
		{None, epoch + "-3", ID{}},
		{None, FinalID(""), final(FinalID(""))},
		{None, "~end", ID{}},
	} {
		if got := ParseID(test.mode, test.text); !reflect.DeepEqual(got, test.want) {
			t.Errorf("mode %d, %q: %+v, want %+v", test.mode, test.text, got, test.want)
		}
	}
}

func TestAppendCursor(t *testing.T) {
	for cursor, want := range map[string]string{
		"":               "",
		"42":             "42",
		"a b":            "a b",
		" ":              "%20",
		"  ":             "%20%20",
		" a  b ":         "%20a  b%20",
		"~":              "%7E",
		"a~1":            "a%7E1",
		"~end":           "%7Eend",
		"100%":           "100%25",
		"a\r\nid: evil":  "a%0D%0Aid: evil",
		"\x00\t\x1f\x7f": "%00%09%1F%7F",
		"é":              "%C3%A9",
		"\xff":           "%FF",
		":":              ":",
	} {
		if got := string(AppendCursor([]byte("x"), []byte(cursor))); got != "x"+want {
			t.Errorf("%q: %q, want %q", cursor, got, "x"+want)
		}
	}
}

// An id that is too long is cut and stays safe.
func TestParseIDIsBounded(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("a", 1<<20),
		strings.Repeat("é", 1<<16),
		strings.Repeat("%41", 1<<16),
		strings.Repeat("%ff", 1<<16),
		strings.Repeat("a ", 1<<16),
		strings.Repeat(" a", 1<<16),
		strings.Repeat("a  ", 1<<16),
		strings.Repeat(" ", 1<<16),
		strings.Repeat("\x00", 1<<16),
		strings.Repeat("~", 1<<16),
		"%zz" + strings.Repeat(" ", 1<<16) + "a",
		"c~" + strings.Repeat("9", 1<<16),
		"~" + epoch + "-" + strings.Repeat("9", 1<<16),
		"~" + epoch + "-" + strings.Repeat("0", 1<<16) + "1",
	} {
		for _, mode := range []Mode{Positions, Cursors, None} {
			for _, text := range []string{text, text + "~end", FinalID(text), text + "%zz"} {
				if wrong := unsafeID(ParseID(mode, text).Text); wrong != "" {
					t.Errorf("mode %d, %.20q…: %s", mode, text, wrong)
				}
			}
		}
	}
}

// The longest cursor fits, with its ordinals and its final id.
func TestLongestCursor(t *testing.T) {
	n := NewNumbering(NumberingParams{Mode: Cursors, Epoch: epoch})
	n.Message([]byte(strings.Repeat("a", MaxCursorBytes)))
	n.sinceNewest = 1<<64 - 2
	n.Message(nil)
	id := string(n.AppendID(nil))
	if got := ParseID(Cursors, id); got.Text != id {
		t.Fatalf("%d bytes become %d", len(id), len(got.Text))
	}
	if final := string(n.AppendFinal(nil)); unsafeID(final) != "" || !ParseID(Cursors, final).Final {
		t.Fatalf("the final id of %d bytes %s", len(final), unsafeID(final))
	}
}

// Whatever a client sends becomes a safe and short id, which parses as itself.
func FuzzParseID(f *testing.F) {
	for _, text := range []string{
		"", "~0", "~end", "x~end", FinalID("x"), FinalID("a\n"), epoch + "-1", "~" + epoch + "-1", "a%20b", "%zz", "%", "%4", " a ", "a\r\n", "\x00", "café", "\xff",
		"c~1", "c~1~end", "~", "a~b~c",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, mode := range []Mode{Positions, Cursors, None} {
			id := ParseID(mode, text)
			if wrong := unsafeID(id.Text); wrong != "" {
				t.Errorf("mode %d, %q becomes %q, which %s", mode, text, id.Text, wrong)
			}
			if id.Text == "" && !reflect.DeepEqual(id, ID{}) || id.Final && id.Epoch != "" {
				t.Errorf("mode %d, %q becomes %+v", mode, text, id)
			}
			if again := ParseID(mode, id.Text); len(text) < 1000 && !reflect.DeepEqual(again, id) {
				t.Errorf("mode %d, %q becomes %+v, and that %+v", mode, text, id, again)
			}
		}
	})
}

// The id of each cursor is safe, parses as that cursor, and is unique.
func FuzzCursor(f *testing.F) {
	f.Add([]byte("a"), []byte("b"))
	f.Add([]byte(" "), []byte("%20"))
	f.Add([]byte("~end"), []byte("~0"))
	f.Add([]byte("a\n"), []byte("a%0A"))
	f.Add([]byte("\xff"), []byte("%ff"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		idA, idB := string(AppendCursor(nil, a)), string(AppendCursor(nil, b))
		if (string(a) == string(b)) != (idA == idB) {
			t.Errorf("%q and %q become %q and %q", a, b, idA, idB)
		}
		if len(idA) > MaxCursorBytes {
			return // the message is an error
		}
		if wrong := unsafeID(idA); wrong != "" {
			t.Errorf("%q becomes %q, which %s", a, idA, wrong)
		}
		if got := ParseID(Cursors, idA); got.Text != idA || got.Ordinal != 0 || string(got.Cursor) != string(a) {
			t.Errorf("%q parses as %+v", idA, got)
		}
		if raw, ok := unescape(idA); !ok || string(raw) != string(a) {
			t.Errorf("%q is read as %q", idA, raw)
		}
	})
}
