package observe

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

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/internal/logqueue"
	"github.com/ssebridge/ssebridge/upstream"
)

// valve is a slog.Handler that blocks until open is closed, and signals each call on asked.
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

// While the log is stalled, a flood of requests loses access lines, but not errors.
func TestAccessLinesLeaveRoomForOtherLines(t *testing.T) {
	var log bytes.Buffer
	handler := &valve{slog.NewTextHandler(&log, nil), make(chan struct{}, 1), make(chan struct{})}
	lines := logqueue.New(handler)
	logger := slog.New(lines.Handler())
	o := New(Params{Born: time.Now(), Log: handler, Lines: lines, Ends: true})
	rec := &Record{observer: o, id: "1", method: unique.Make("GET"), path: unique.Make("/"), agent: unique.Make(""), status: 200}
	o.journal.logAnswer(rec)
	<-handler.asked // the writer is blocked, and the queue is empty
	const flood = 2 * logqueue.Room
	for range flood {
		o.journal.logAnswer(rec)
	}
	logger.Error("something is wrong")
	close(handler.open)
	lines.Flush(time.Minute)
	lost := lines.Lost()
	if got := strings.Count(log.String(), "msg=request"); got+int(lost.Dropped) != flood+1 || lost.Dropped == 0 {
		t.Errorf("%d lines were written and %d dropped, of %d", got, lost.Dropped, flood+1)
	}
	if !strings.Contains(log.String(), `level=ERROR msg="something is wrong"`) {
		t.Error("the error is lost")
	}
	if !strings.Contains(log.String(), fmt.Sprintf(`level=WARN msg="log lines were lost" dropped=%d failed=0`, lost.Dropped)) {
		t.Error("the dropped lines are not logged")
	}
}

func TestWithoutTracesAndAccessLinesNothingAllocates(t *testing.T) {
	o := New(Params{Born: time.Now()})
	rec := &Record{observer: o, id: "1"}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	counts := NewRouteCounts()
	var rpcs RPCs
	call := upstream.Call{Method: "a.B/C"}
	if n := testing.AllocsPerRun(100, func() {
		rec.SetRoute("/", counts, request)
		kept := rec.Kept()
		rpcs.Init(o, kept.TraceOrigin())
		if kept.TraceOrigin() != nil || kept.Traced() {
			t.Error("the request is traced")
		}
		ctx, call, span := rpcs.Start(request.Context(), "app", nil, call)
		_, _, call2 := o.StartRPC(ctx, kept.TraceOrigin(), "app", nil, call)
		call2.Accepted()
		span.Accepted()
		span.Ended(nil)
		span.Answered(nil)
		rpcs.Gap("upstream")
		kept.StreamBegins(Start{}, "", &rpcs)
		kept.FollowRPCs(&rpcs)
		kept.AddEvent("stale", "ssebridge.code", "UNAVAILABLE")
		kept.AskedToLeave("drain")
		kept.StreamLeaves(Last{End: reason.EndGone})
		kept.StreamEnded(reason.EndGone, 1)
		rec.HandlerReturned(request)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
