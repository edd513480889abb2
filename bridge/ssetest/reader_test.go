package ssetest

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const (
	// opened is the first block of a route with ids, prelude the first lines of a route without ids.
	opened  = "retry: 3012\nid: E-0\nevent: stream-open\ndata: {}\n\n"
	prelude = ": ok\nretry: 3012\n"
	// ended and endedPlain are their last blocks.
	ended      = "id: E-1~SUM~end\nevent: stream-end\ndata: {}\n\n"
	endedPlain = "id: ~SUM~end\nevent: stream-end\ndata: {}\n\n"
	message    = "id: E-1\ndata: {}\n\n"
)

// readAll reads to the end and returns the names of the events and the error.
func readAll(r io.Reader, mode Mode) (names []string, err error) {
	reader := NewReader(r, mode)

	for {
		event, err := reader.Next()
		if err != nil {
			if _, again := reader.Next(); again != err { //nolint:errorlint // the very same error
				err = errors.Join(errors.New("the error did not stay"), err)
			}
			return names, err
		}

		names = append(names, event.Name)
	}
}

// TestContractAccepts covers the streams that the contract allows.
func TestContractAccepts(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		mode     Mode
		want     string
	}{
		{"the shortest", opened + message + ended, Mode{IDs: true}, "stream-open,,stream-end"},
		{
			"every control event",
			opened + "event: stream-stale\ndata: {\"code\":14,\"status\":\"UNAVAILABLE\"}\n\n" + ":\n:\n" +
				"event: stream-live\ndata: {}\n\n" + "event: heartbeat\ndata: {}\n\n" +
				"id: c~2\nevent: note\ndata: {\"a\":[1,2,\"x y\"]}\n\n" +
				"id: c~3\nevent: stream-gap\ndata: {\"reason\":\"untranscodable\",\"lastEventId\":\"c~2\",\"resumedFrom\":\"c~3\"}\n\n" +
				"retry: 0\nevent: stream-retry\ndata: {\"reason\":\"upstream\",\"code\":14,\"message\":\"\",\"status\":\"UNAVAILABLE\"}\n\n",
			Mode{IDs: true},
			"stream-open,stream-stale,stream-live,heartbeat,note,stream-gap,stream-retry",
		},
		{
			"a gap first",
			"retry: 1\nid: ~0\nevent: stream-gap\ndata: {\"reason\":\"restarted\",\"lastEventId\":\"x\",\"resumedFrom\":\"~0\"}\n\n" +
				"retry: 1\nevent: stream-retry\ndata: {\"reason\":\"drain\"}\n\n",
			Mode{IDs: true},
			"stream-gap,stream-retry",
		},
		{
			"an error at once", opened + "id: E-0~SUM~end\nevent: stream-error\ndata: {\"code\":5,\"message\":\"m\",\"status\":\"NOT_FOUND\"," +
				"\"details\":[{\"@type\":\"x/y.Z\"}],\"trailers\":{\"a\":\"b\"}}\n\n", Mode{IDs: true}, "stream-open,stream-error",
		},
		{"a backend's own code", opened + "id: ~SUM~end\nevent: stream-error\ndata: {\"code\":99,\"status\":\"99\"}\n\n", Mode{IDs: true}, "stream-open,stream-error"},
		{
			"an end repeated", "retry: 1\nid: c~SUM~end\nevent: stream-open\ndata: {}\n\nid: c~SUM~end\nevent: stream-end\ndata: {}\n\n",
			Mode{IDs: true},
			"stream-open,stream-end",
		},
		{"a client's odd id repeated", "retry: 1\nid: 5%\nevent: stream-open\ndata: {}\n\nretry: 1\nevent: stream-retry\ndata: {\"reason\":\"shed\"}\n\n", Mode{IDs: true}, "stream-open,stream-retry"},
		{"an escaped id", opened + "id: a b%7E~2\ndata: \"x\"\n\nid: ~SUM~end\nevent: stream-end\ndata: {}\n\n", Mode{IDs: true}, "stream-open,,stream-end"},
		{"without ids", prelude + ":\ndata: {}\n\nevent: x-error\ndata: null\n\n" + endedPlain, Mode{}, ",x-error,stream-end"},
		{"without ids, retry at once", prelude + "retry: 9\nevent: stream-retry\ndata: {\"reason\":\"shed\"}\n\n", Mode{}, "stream-retry"},
		{
			"without ids, a gap", prelude + "event: stream-gap\ndata: {\"reason\":\"lagged\",\"lastEventId\":\"\",\"resumedFrom\":\"\"}\n\n" + endedPlain,
			Mode{},
			"stream-gap,stream-end",
		},
		{"a literal", prelude + "data: {}\n\ndata: [DONE]\n\n" + endedPlain, Mode{Literals: []string{"[DONE]"}}, ",,stream-end"},
		{"a literal with ids", opened + "id: E-0~SUM~end\ndata: [DONE]\n\nid: E-0~SUM~end\nevent: stream-end\ndata: {}\n\n", Mode{IDs: true, Literals: []string{"[DONE]"}}, "stream-open,,stream-end"},
		{"trailers", opened + "id: E-0~SUM~end\nevent: stream-end\ndata: {\"trailers\":{\"k\":\"v\"}}\n\n", Mode{IDs: true}, "stream-open,stream-end"},
		{"the longest comments", opened + strings.Repeat(":\n", maxComments/2) + message + ":\n" + message + ended, Mode{IDs: true}, "stream-open,,,stream-end"},
		{"the longest id", opened + "id: " + strings.Repeat("x", maxID) + "\ndata: 1\n\nid: ~SUM~end\nevent: stream-end\ndata: {}\n\n", Mode{IDs: true}, "stream-open,,stream-end"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			names, err := readAll(strings.NewReader(tc.in), tc.mode)
			if got := strings.Join(names, ","); err != io.EOF || got != tc.want { //nolint:errorlint // exactly io.EOF is promised
				t.Errorf("%s, %v; want %s", got, err, tc.want)
			}
		})
	}
}

// TestContractRefuses has a case for each rule of the contract. The standard accepts, or at least
// parses, each of them.
func TestContractRefuses(t *testing.T) {
	gap := func(data string) string { return opened + "id: E-1\nevent: stream-gap\ndata: " + data + "\n\n" }
	retry := func(data string) string { return opened + "retry: 1\nevent: stream-retry\ndata: " + data + "\n\n" }
	failed := func(data string) string {
		return opened + "id: E-0~SUM~end\nevent: stream-error\ndata: " + data + "\n\n"
	}

	for _, tc := range []struct{ name, in, rule string }{
		{"CR LF", strings.ReplaceAll(opened, "\n", "\r\n"), "never in CR"},
		{"CR", opened + "id: E-1\rdata: {}\r\r", "never in CR"},
		{"CR late", opened + message + "\r", "never in CR"},
		{"byte order mark", "\uFEFF" + opened, "byte order mark"},
		{"invalid UTF-8", opened + "id: E-1\ndata: \"\xff\"\n\n", "valid UTF-8"},
		{"NUL", opened + "id: E-1\ndata: \"\x00\"\n\n", "no NUL"},

		{"ends without a final event", opened + message, "closed after stream-retry, stream-end or stream-error"},
		{"ends empty", "", "closed after"},
		{"ends in a block", opened + message + "id: E-2\n", "open block"},
		{"ends in a line", opened + message + "id: E-2", "inside a line"},
		{"ends in a heartbeat", opened + ":\n", "closed after"},
		{"a block after the end", opened + message + ended + message, "nothing comes after stream-end"},
		{"a heartbeat after the end", opened + message + ended + ":\n", "nothing comes after stream-end"},
		{"an empty line after the end", opened + message + ended + "\n", "nothing comes after stream-end"},

		{"a message first", message + ended, "first block"},
		{"a heartbeat event first", "event: heartbeat\ndata: {}\n\n" + opened, "first block"},
		{"a comment first", ":\n" + opened, "not with a comment"},
		{"a retry first", "retry: 1\nevent: stream-retry\ndata: {\"reason\":\"shed\"}\n\n", "first block"},
		{"an end first", "id: x~SUM~end\nevent: stream-end\ndata: {}\n\n", "first block"},
		{"the other prelude", prelude + opened, "not with a comment"},
		{"open twice", opened + opened, "no other"},
		{"open without retry", "id: E-0\nevent: stream-open\ndata: {}\n\n", "carries retry and id"},
		{"open without id", "retry: 1\nevent: stream-open\ndata: {}\n\n", "carries retry and id"},
		{"open with data", "retry: 1\nid: E-0\nevent: stream-open\ndata: {\"a\":1}\n\n", `no such "a"`},

		{"only retry", opened + "retry: 5\n\n", "has data"},
		{"only id", opened + "id: E-1\n\n", "has data"},
		{"only event", opened + "event: a\n\n", "has data"},
		{"an empty line alone", opened + "\n" + message, "ends a block"},
		{"an empty line after a comment", opened + ":\n\n", "ends a block"},
		{"a comment with text", opened + ": ping\n", "nothing else"},
		{"a comment in a block", opened + "id: E-1\n:\ndata: {}\n\n", "interleaved"},
		{"too many comments", opened + strings.Repeat(":\n", maxComments/2+1), "comments in a row"},

		{"no space", opened + "id:E-1\ndata: {}\n\n", "and a value"},
		{"no value", opened + "id\ndata: {}\n\n", "and a value"},
		{"an empty id", opened + "id: \ndata: {}\n\n", "has a value"},
		{"an unknown field", opened + "x: 1\n", "and a value"},
		{"upper case", opened + "ID: 1\n", "and a value"},
		{"two lines of data", opened + "id: E-1\ndata: {\ndata: }\n\n", "one line of data"},
		{"data before its id", opened + "data: {}\nid: E-1\n\n", "in the order"},
		{"retry that is not a number", "retry: 3s\n", "digits"},
		{"retry in a message", opened + "retry: 1\nid: E-1\ndata: {}\n\n", "retry belongs"},

		{"no id", opened + "data: {}\n\n", "same block"},
		{"an id with a space in front", opened + "id:  E\ndata: {}\n\n", "edges"},
		{"an id with a space behind", opened + "id: E \ndata: {}\n\n", "edges"},
		{"an id that is not ASCII", opened + "id: ü\ndata: {}\n\n", "printable ASCII"},
		{"an id with a control character", opened + "id: a\x01\ndata: {}\n\n", "printable ASCII"},
		{"an id with a tab", opened + "id: a\tb\ndata: {}\n\n", "printable ASCII"},
		{"an id with DEL", opened + "id: a\x7f\ndata: {}\n\n", "printable ASCII"},
		{"an id with a bare percent sign", opened + "id: 5%\ndata: {}\n\n", "begins an escape"},
		{"an id with half an escape", opened + "id: %2\ndata: {}\n\n", "begins an escape"},
		{"an id too long", opened + "id: " + strings.Repeat("x", maxID+1) + "\ndata: {}\n\n", "at most 4096 bytes"},
		{"a message that is final", opened + "id: E-1~SUM~end\ndata: {}\n\n", "not final"},

		{"event: error", opened + "id: E-1\nevent: error\ndata: {}\n\n", "onerror"},
		{"event: open", opened + "id: E-1\nevent: open\ndata: {}\n\n", "onopen"},
		{"a name too long", opened + "id: E-1\nevent: " + strings.Repeat("x", 65) + "\ndata: {}\n\n", "at most 64 bytes"},
		{"an unknown control event", opened + "id: E-1\nevent: stream-hello\ndata: {}\n\n", "none of them"},
		{"a heartbeat with an id", opened + "id: E-1\nevent: heartbeat\ndata: {}\n\n", "heartbeat event"},
		{"a heartbeat with data", opened + "event: heartbeat\ndata: 1\n\n", "heartbeat event"},

		{"not JSON", opened + "id: E-1\ndata: hello\n\n", "data is JSON"},
		{"two JSON values", opened + "id: E-1\ndata: {}{}\n\n", "data is JSON"},
		{"blanks", opened + "id: E-1\ndata: {\"a\": 1}\n\n", "compact"},
		{"a literal that is not configured", opened + "id: E-1\ndata: [DONE]\n\n", "data is JSON"},

		{"gap without id", opened + "event: stream-gap\ndata: {\"reason\":\"lagged\",\"lastEventId\":\"\",\"resumedFrom\":\"\"}\n\n", "position it goes on from"},
		{"gap with a final id", opened + "id: a~SUM~end\nevent: stream-gap\ndata: {\"reason\":\"lagged\",\"lastEventId\":\"\",\"resumedFrom\":\"\"}\n\n", "position it goes on from"},
		{"gap of unknown reason", gap(`{"reason":"lost","lastEventId":"","resumedFrom":""}`), `"reason"`},
		{"gap without a key", gap(`{"reason":"lagged","lastEventId":""}`), `"resumedFrom"`},
		{"gap with null", gap(`{"reason":"lagged","lastEventId":null,"resumedFrom":""}`), `"lastEventId"`},
		{"gap with another key", gap(`{"reason":"lagged","lastEventId":"","resumedFrom":"","x":1}`), `"x"`},
		{"gap that is not an object", gap(`[]`), "is an object"},
		{"gap that is null", gap(`null`), "is an object"},
		{"retry without retry", opened + "event: stream-retry\ndata: {\"reason\":\"drain\"}\n\n", "carries a retry"},
		{"retry with an id", opened + "retry: 1\nid: E-1\nevent: stream-retry\ndata: {\"reason\":\"drain\"}\n\n", "carries no id"},
		{"retry of unknown reason", retry(`{"reason":"bored"}`), `"reason"`},
		{"retry with half a status", retry(`{"reason":"upstream","code":14}`), "together"},
		{"retry with a status of another reason", retry(`{"reason":"drain","code":14,"status":"UNAVAILABLE"}`), "reason upstream"},
		{"retry with a message alone", retry(`{"reason":"upstream","message":"m"}`), "together"},
		{"stale without code", opened + "event: stream-stale\ndata: {}\n\n", `"code"`},
		{"stale with an unknown status", opened + "event: stream-stale\ndata: {\"code\":14,\"status\":\"GONE\"}\n\n", `"status"`},
		{"stale twice", opened + strings.Repeat("event: stream-stale\ndata: {\"code\":14,\"status\":\"UNAVAILABLE\"}\n\n", 2), "turns"},
		{"live at once", opened + "event: stream-live\ndata: {}\n\n", "turns"},
		{"stale with an id", opened + "id: E-1\nevent: stream-stale\ndata: {\"code\":14,\"status\":\"UNAVAILABLE\"}\n\n", "carries no id"},
		{"end without an id", opened + "event: stream-end\ndata: {}\n\n", "final id"},
		{"end with an id that is not final", opened + "id: E-0\nevent: stream-end\ndata: {}\n\n", "final id"},
		{"end with another's id", opened + message + "id: E-9~SUM~end\nevent: stream-end\ndata: {}\n\n", `final id of "E-1"`},
		{"end with another key", opened + "id: E-0~SUM~end\nevent: stream-end\ndata: {\"x\":1}\n\n", `no such "x"`},
		{"end with odd trailers", opened + "id: E-0~SUM~end\nevent: stream-end\ndata: {\"trailers\":{\"k\":1}}\n\n", `"trailers"`},
		{"error without status", failed(`{"code":5,"message":"m"}`), `"status"`},
		{"error with OK", failed(`{"code":0,"status":"OK"}`), `"code"`},
		{"error with odd details", failed(`{"code":5,"status":"NOT_FOUND","details":[{"x":1}]}`), `"details"`},
		{"error with blanks", failed(`{"code":5, "status":"NOT_FOUND"}`), "compact"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mustViolate(t, tc.in, Mode{IDs: true}, tc.rule)
		})
	}

	for _, tc := range []struct{ name, in, rule string }{
		{"no prelude", "data: {}\n\n", `begins with ": ok"`},
		{"a prelude without retry", ": ok\ndata: {}\n\n", "second line"},
		{"a prelude with an empty line", prelude + "\ndata: {}\n\n", "ends a block"},
		{"an open", prelude + "id: E-0\nevent: stream-open\ndata: {}\n\n", "no stream-open"},
		{"an id", prelude + message, "has none"},
		{"a gap with an id", prelude + "id: a\nevent: stream-gap\ndata: {\"reason\":\"lagged\",\"lastEventId\":\"\",\"resumedFrom\":\"\"}\n\n", "with ids"},
		{"a final id of something", prelude + "id: a~SUM~end\nevent: stream-end\ndata: {}\n\n", `final id of ""`},
		{"a literal with an id", prelude + "id: a\ndata: [DONE]\n\n", "only where there are ids"},
		{"a literal with a name", prelude + "event: a\ndata: [DONE]\n\n", "has no name"},
	} {
		t.Run("without ids, "+tc.name, func(t *testing.T) {
			mustViolate(t, tc.in, Mode{Literals: []string{"[DONE]"}}, tc.rule)
		})
	}
}

func mustViolate(t *testing.T, in string, mode Mode, rule string) {
	t.Helper()

	for _, r := range []io.Reader{strings.NewReader(in), iotest.OneByteReader(strings.NewReader(in))} {
		_, err := readAll(r, mode)

		v, ok := errors.AsType[*Violation](err)
		if !ok {
			t.Fatalf("%v, want a violation", err)
		}

		if !strings.Contains(v.Rule, rule) {
			t.Errorf("%v, want %q", v, rule)
		}

		for _, c := range v.Error() {
			if c < ' ' || c == 0x7f {
				t.Errorf("the text is not printable: %q", v.Error())
			}
		}
	}
}

// TestCutAnywhere cuts a stream at every byte. A cut is neither a violation nor a clean end, and the
// events before it are the blocks that were complete before it.
func TestCutAnywhere(t *testing.T) {
	const whole = opened + ":\n" + "id: ü%C3\ndata: \"ü\"\n\n"

	stream := strings.Replace(whole, "id: ü", "id: u", 1)

	for n := range len(stream) + 1 {
		names, err := readAll(io.MultiReader(strings.NewReader(stream[:n]), iotest.ErrReader(io.ErrUnexpectedEOF)), Mode{IDs: true})
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut at %d: %v", n, err)
		}

		if want := strings.Count(stream[:n], "\n\n"); len(names) != want {
			t.Fatalf("cut at %d: %d events, want %d", n, len(names), want)
		}
	}

	lost := errors.New("connection reset")
	if _, err := readAll(iotest.ErrReader(lost), Mode{IDs: true}); !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, lost) {
		t.Errorf("%v: a cut names its cause", err)
	}
}

func TestEachHeartbeatIsReported(t *testing.T) {
	beats := 0
	mode := Mode{IDs: true, OnHeartbeat: func() { beats++ }}

	if _, err := readAll(strings.NewReader(opened+":\n:\n"+message+":\n"+ended), mode); !errors.Is(err, io.EOF) || beats != 3 {
		t.Errorf("%d heartbeats, %v", beats, err)
	}
}

// FuzzReader checks that the strict reader accepts no stream that a forgiving client reads differently,
// and that no bytes cause a panic. The Reader itself compares the two.
func FuzzReader(f *testing.F) {
	f.Add([]byte(opened+message+ended), true)
	f.Add([]byte(prelude+"data: {}\n\n"+endedPlain), false)
	f.Add([]byte("\uFEFFdata: a\r\rid: \x00\r\n"), true)

	f.Fuzz(func(t *testing.T, stream []byte, ids bool) {
		reader := NewReader(strings.NewReader(string(stream)), Mode{IDs: ids})

		for {
			_, err := reader.Next()

			if v, ok := errors.AsType[*Violation](err); ok && strings.Contains(v.Rule, "reads the same") {
				t.Fatal(err)
			}

			if err != nil {
				return
			}
		}
	})
}
