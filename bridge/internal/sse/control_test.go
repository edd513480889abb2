package sse

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// docs/events.md promises these bytes.
func TestControlEvents(t *testing.T) {
	gap := Gap{Reason: reason.GapExpired, LastEventID: "E-3", ResumedFrom: "E-7"}
	gapBlock := "id: E-7\nevent: stream-gap\ndata: {\"reason\":\"expired\",\"lastEventId\":\"E-3\",\"resumedFrom\":\"E-7\"}\n\n"
	for want, got := range map[string][]byte{
		"retry: 3012\nid: E-0\nevent: stream-open\ndata: {}\n\n": AppendOpen(nil, 3012*time.Millisecond, []byte("E-0")),
		gapBlock:                   AppendGap(nil, gap),
		"retry: 3012\n" + gapBlock: AppendGapFirst(nil, 3012*time.Millisecond, gap),
		"retry: 900\nevent: stream-retry\ndata: {\"reason\":\"drain\"}\n\n":       AppendRetry(nil, 900*time.Millisecond, Retry{Reason: reason.LeaveDrain}),
		"retry: 0\nevent: stream-retry\ndata: {\"reason\":\"max_age\"}\n\n":       AppendRetry(nil, 0, Retry{Reason: reason.LeaveMaxAge}),
		"event: stream-stale\ndata: {\"code\":14,\"status\":\"UNAVAILABLE\"}\n\n": AppendStale(nil, 14, "UNAVAILABLE"),
		"event: stream-live\ndata: {}\n\n":                                        AppendLive(nil),
		"id: E-7~end\nevent: stream-end\ndata: {}\n\n":                            AppendEnd(nil, []byte("E-7~end"), []byte("{}")),
		"id: ~end\nevent: stream-error\ndata: {\"code\":5}\n\n":                   AppendError(nil, []byte("~end"), []byte(`{"code":5}`)),
		"retry: 1000\nid: ~0\nevent: stream-open\ndata: {}\n\n":                   AppendOpen(nil, time.Second, []byte(NoID)),
		"retry: 1000\nevent: stream-retry\ndata: {\"reason\":\"upstream\",\"code\":14,\"message\":\"away\",\"status\":\"UNAVAILABLE\"}\n\n": AppendRetry(
			nil, time.Second, Retry{Reason: reason.LeaveUpstream, Code: 14, Message: "away", Status: "UNAVAILABLE"},
		),
	} {
		if string(got) != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Each function appends to what dst has.
func TestControlEventsAppend(t *testing.T) {
	for name, got := range map[string][]byte{
		"open":  AppendOpen([]byte("before"), 0, []byte("1")),
		"gap":   AppendGap([]byte("before"), Gap{}),
		"first": AppendGapFirst([]byte("before"), 0, Gap{}),
		"retry": AppendRetry([]byte("before"), 0, Retry{}),
		"stale": AppendStale([]byte("before"), 14, "X"),
		"live":  AppendLive([]byte("before")),
		"end":   AppendEnd([]byte("before"), nil, []byte("{}")),
		"error": AppendError([]byte("before"), nil, []byte("{}")),
	} {
		if !bytes.HasPrefix(got, []byte("before")) || !bytes.HasSuffix(got, []byte("\n\n")) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A backend's error is one line of JSON, whatever its message is.
func TestAHostileMessageStaysOneLine(t *testing.T) {
	hostile := "a\r\n\nid: evil\ndata: x\x00\xff\u2028</script>" + strings.Repeat("é", 1000)
	event := readOne(t, AppendRetry(nil, 0, Retry{Reason: reason.LeaveUpstream, Message: hostile}))
	var read Retry
	if err := json.Unmarshal([]byte(event.Data), &read); err != nil {
		t.Fatal(err)
	}
	if event.HasID || strings.Contains(event.Data, "\n") || read.Message != strings.ToValidUTF8(hostile, "\uFFFD") {
		t.Errorf("%+v", event)
	}
}

func TestAStrictReaderAcceptsTheStream(t *testing.T) {
	n := NewNumbering(NumberingParams{Mode: Positions, Epoch: epoch})
	stream := AppendOpen(nil, 3*time.Second, n.AppendID(nil))
	stream = append(stream, Heartbeat...)
	for range 3 {
		n.Message(nil)
		stream = AppendEvent(stream, n.AppendID(nil), AppendName(nil, []byte("error")), []byte(`{"a":"b"}`))
	}
	stream = append(AppendStale(stream, 14, "UNAVAILABLE"), HeartbeatEvent...)
	stream = AppendLive(stream)
	last := string(n.AppendID(nil))
	n.Break()
	stream = AppendGap(stream, Gap{Reason: reason.GapUpstream, LastEventID: last, ResumedFrom: string(n.AppendID(nil))})
	stream = AppendEnd(stream, n.AppendFinal(nil), []byte("{}"))
	reader := ssetest.NewReader(bytes.NewReader(stream), ssetest.Mode{IDs: true})
	var names []string
	for {
		event, err := reader.Next()
		if err != nil {
			if err.Error() != "EOF" {
				t.Fatal(err)
			}
			break
		}
		names = append(names, event.Name)
	}
	want := "stream-open x-error x-error x-error stream-stale heartbeat stream-live stream-gap stream-end"
	if got := strings.Join(names, " "); got != want || reader.LastEventID() != FinalID(epoch+"-4") {
		t.Errorf("%s, last %s", got, reader.LastEventID())
	}
}
