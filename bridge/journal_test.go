package bridge

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
	"unique"

	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/internal/logqueue"
	"github.com/ssebridge/ssebridge/internal/printable"
	"github.com/ssebridge/ssebridge/upstream"
)

// valve is a slog.Handler that blocks while it is shut, and notifies of each call.
type valve struct {
	slog.Handler

	asked, open chan struct{}
}

func (v *valve) Handle(ctx context.Context, record slog.Record) error {
	select {
	case v.asked <- struct{}{}:
	default:
	}
	<-v.open
	return v.Handler.Handle(ctx, record)
}

// TestAccessLinesLeaveRoomForOtherLines: a flood of requests beside a stalled log costs access lines, not the line that
// says what is wrong.
func TestAccessLinesLeaveRoomForOtherLines(t *testing.T) {
	var log bytes.Buffer
	handler := &valve{slog.NewTextHandler(&log, nil), make(chan struct{}, 1), make(chan struct{})}
	b := newBridge(Options{Logger: slog.New(handler)})
	b.journal = newJournal(b.log, b.lines, AccessEnds)
	v := &visit{bridge: b, id: "1", method: unique.Make("GET"), path: unique.Make("/"), agent: unique.Make(""), status: 200}
	b.journal.answers(v)
	<-handler.asked // the writer is blocked, and the queue empty
	const flood = 2 * logqueue.Room
	for range flood {
		b.journal.answers(v)
	}
	b.logger.Error("something is wrong")
	close(handler.open)
	b.lines.Flush(time.Minute)
	lost := b.lines.Lost()
	if got := strings.Count(log.String(), "msg=request"); got+int(lost.Dropped) != flood+1 || lost.Dropped == 0 {
		t.Errorf("%d lines were written and %d dropped, of %d", got, lost.Dropped, flood+1)
	}
	if !strings.Contains(log.String(), `level=ERROR msg="something is wrong"`) {
		t.Error("the error is lost")
	}
	if !strings.Contains(log.String(), fmt.Sprintf(`level=WARN msg="log lines were lost" dropped=%d failed=0`, lost.Dropped)) {
		t.Error("nothing is logged about the dropped lines")
	}
}

// TestUnwatchedCostsNothing: where there are no traces and no access lines, no hook allocates.
func TestUnwatchedCostsNothing(t *testing.T) {
	b := &Bridge{born: time.Now()}
	v := &visit{bridge: b, id: "1"}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	e := &endpoint{bridge: b, counts: newRouteCounts()}
	f := &feed{endpoint: e}
	call := upstream.Call{Method: "a.B/C"}
	if n := testing.AllocsPerRun(100, func() {
		v.finds(e, request)
		kept := v.kept()
		f.origin.Store(kept.source())
		if kept.starter() != nil {
			t.Error("something is to be told")
		}
		ctx, _ := f.startRPC(request.Context(), call)
		_, _, span := b.tracing.startRPC(kept.source().context(ctx), e.upstream, call)
		span.accepted()
		span.ended(nil)
		span.answered(nil)
		f.gapped("upstream")
		kept.begins(nil, "")
		kept.follows(nil)
		kept.happens("stale", "ssebridge.code", "UNAVAILABLE")
		kept.leaves("drain")
		kept.ends(delivery.EndGone, nil, nil)
		kept.ended(delivery.EndGone, 1)
		v.returned(request)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestShown(t *testing.T) {
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
		if got := printable.Text(text, 16); !strings.HasPrefix(got, want) || len(got) > 16+len("...") {
			t.Errorf("%q is shown as %s, want %s", text, got, want)
		}
	}
}
