package ssetest

import (
	"bytes"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// parsed is an event without its raw bytes, which the tables omit.
type parsed struct {
	id, name, data string
	hasID          bool
	retry          time.Duration
	hasRetry       bool
}

func parseAll(t *testing.T, r io.Reader) (events []parsed, lastID string) {
	t.Helper()

	p := NewParser(r)

	for {
		event, err := p.Next()
		if errors.Is(err, io.EOF) {
			return events, p.LastEventID()
		}

		if err != nil {
			t.Fatal(err)
		}

		events = append(events, parsed{event.ID, event.Name, event.Data, event.HasID, event.Retry, event.HasRetry})
	}
}

// TestStandard checks the Parser against the standard's examples and against each of its rules.
func TestStandard(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     []parsed
		lastID   string
	}{
		// The examples of section 9.2.6.
		{"stock", "data: YHOO\ndata: +2\ndata: 10\n\n", []parsed{{data: "YHOO\n+2\n10"}}, ""},
		{
			"four blocks", ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
			[]parsed{{id: "1", data: "first event", hasID: true}, {data: "second event", hasID: true}, {data: " third event"}},
			"",
		},
		{"two events, the first empty, the last incomplete", "data\n\ndata\ndata\n\ndata:", []parsed{{data: ""}, {data: "\n"}}, ""},
		{"the space after the colon", "data:test\n\ndata: test\n\n", []parsed{{data: "test"}, {data: "test"}}, ""},
		{"named events", "event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n", []parsed{{name: "add", data: "73857293"}, {name: "remove", data: "2153"}}, ""},

		// Line ends.
		{"CR LF", "data: a\r\ndata: b\r\n\r\n", []parsed{{data: "a\nb"}}, ""},
		{"CR", "data: a\rdata: b\r\r", []parsed{{data: "a\nb"}}, ""},
		{"mixed", "data: a\rdata: b\ndata: c\r\n\ndata: d\n\r", []parsed{{data: "a\nb\nc"}, {data: "d"}}, ""},
		{"LF CR is two line ends", "data: a\n\rdata: b\n\r", []parsed{{data: "a"}, {data: "b"}}, ""},

		// The byte order mark.
		{"one is dropped", "\uFEFFdata: a\n\n", []parsed{{data: "a"}}, ""},
		{"the second is a character", "\uFEFF\uFEFFdata: a\n\ndata: b\n\n", []parsed{{data: "b"}}, ""},
		{"later it is a character", "\n\uFEFFdata: a\n\ndata: b\n\n", []parsed{{data: "b"}}, ""},
		{"nothing but it", "\uFEFF\ndata: a\n\n", []parsed{{data: "a"}}, ""},

		// Fields.
		{"an unknown field", "foo: bar\ndata: a\nDATA: b\n data: c\n\n", []parsed{{data: "a"}}, ""},
		{"only one space goes", "data:  a\nevent:  e\nid:  i \n\n", []parsed{{id: " i ", name: " e", data: " a", hasID: true}}, " i "},
		{"colons in a value", "data: a: b:c\n\n", []parsed{{data: "a: b:c"}}, ""},
		{"the last event name counts", "event: a\nevent: b\ndata: x\n\n", []parsed{{name: "b", data: "x"}}, ""},
		{"a name does not outlive its block", "event: a\n\ndata: x\n\n", []parsed{{data: "x"}}, ""},
		{"comments", ":\n: a\n:b\ndata: x\n:c\n\n", []parsed{{data: "x"}}, ""},

		// Ids.
		{"an id stays", "id: 1\ndata: a\n\ndata: b\n\n", []parsed{{id: "1", data: "a", hasID: true}, {id: "1", data: "b"}}, "1"},
		{"an empty id resets", "id: 1\ndata: a\n\nid:\ndata: b\n\n", []parsed{{id: "1", data: "a", hasID: true}, {data: "b", hasID: true}}, ""},
		{"a block of only an id counts", "id: 1\n\n", nil, "1"},
		{"an id with NUL is ignored", "id: 1\ndata: a\n\nid: 2\x00\ndata: b\n\n", []parsed{{id: "1", data: "a", hasID: true}, {id: "1", data: "b"}}, "1"},
		{"an incomplete block moves nothing", "id: 1\ndata: a\n\nid: 2\ndata: b\n", []parsed{{id: "1", data: "a", hasID: true}}, "1"},

		// Retry.
		{"retry", "retry: 3012\ndata: a\n\n", []parsed{{data: "a", retry: 3012 * time.Millisecond, hasRetry: true}}, ""},
		{"retry 0", "retry: 0\ndata: a\n\n", []parsed{{data: "a", hasRetry: true}}, ""},
		{"retry of the previous block", "retry: 5\n\ndata: a\n\n", []parsed{{data: "a", retry: 5 * time.Millisecond, hasRetry: true}}, ""},
		{"no digits", "retry: 1.5\nretry: -1\nretry: 3s\nretry:\nretry: 1 \nretry: ١\ndata: a\n\n", []parsed{{data: "a"}}, ""},
		{"huge", "retry: 99999999999999999999\ndata: a\n\n", []parsed{{data: "a", retry: time.Duration(math.MaxInt64).Truncate(time.Millisecond), hasRetry: true}}, ""},

		// Decoding.
		{"invalid UTF-8", "data: a\xffb\xe2\x82c\xf0\x80\x80\xed\xa0\x80\n\n", []parsed{{data: "a\uFFFDb\uFFFDc\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD"}}, ""},
		{"an unfinished character", "data: \xf0\x9f\x9a\n\n", []parsed{{data: "\uFFFD"}}, ""},
		{"Unicode line ends are not line ends", "data: a\u2028b\u0085c\n\n", []parsed{{data: "a\u2028b\u0085c"}}, ""},
		{"NUL in data", "data: \x00\n\n", []parsed{{data: "\x00"}}, ""},

		// Ends.
		{"empty", "", nil, ""},
		{"no empty line", "data: a\n", nil, ""},
		{"no line end", "data: a", nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for way, r := range map[string]io.Reader{
				"at once": strings.NewReader(tc.in), "by byte": iotest.OneByteReader(strings.NewReader(tc.in)),
			} {
				got, lastID := parseAll(t, r)
				if !reflect.DeepEqual(got, tc.want) || lastID != tc.lastID {
					t.Errorf("%s:\n got %+v, last id %q\nwant %+v, last id %q", way, got, lastID, tc.want, tc.lastID)
				}
			}
		})
	}
}

// TestRaw checks that no byte is lost between the events.
func TestRaw(t *testing.T) {
	const in = ": hello\r\n\r\ndata: a\n\n:\nid: 1\n\nevent: e\rdata: b\r\r"

	var raw bytes.Buffer

	p := NewParser(strings.NewReader(in))

	for {
		event, err := p.Next()
		if err != nil {
			break
		}

		raw.Write(event.Raw)
	}

	if raw.String() != in {
		t.Errorf("got %q, want %q", &raw, in)
	}
}

// TestParserWaitsForNothing checks that an event is returned with its last byte, even if that is a CR.
func TestParserWaitsForNothing(t *testing.T) {
	r, w := io.Pipe()
	written := make(chan struct{})

	go func() {
		defer close(written)

		if _, err := io.WriteString(w, "data: a\r\r"); err != nil {
			t.Error(err)
		}
	}()

	p := NewParser(r)
	if event, err := p.Next(); err != nil || event.Data != "a" {
		t.Errorf("%+v, %v", event, err)
	}

	<-written
}

func TestReconnectionTime(t *testing.T) {
	p := NewParser(strings.NewReader("retry: 7\n: no block\n"))
	if _, ok := p.ReconnectionTime(); ok {
		t.Error("a reconnection time without a retry")
	}

	if _, err := p.Next(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}

	if after, ok := p.ReconnectionTime(); !ok || after != 7*time.Millisecond {
		t.Errorf("%v, %t: a retry counts at once", after, ok)
	}
}

// endless is a stream without a line end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestLinesAreBounded(t *testing.T) {
	reader := NewReader(endless{}, Mode{IDs: true})
	reader.parser.most = 1 << 10

	if _, err := reader.Next(); !errors.Is(err, errLongLine) || len(reader.parser.raw) > 2<<10 {
		t.Errorf("%v after %d bytes", err, len(reader.parser.raw))
	}
}
