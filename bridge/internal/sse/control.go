package sse

import (
	"encoding/json"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// NoID is the id of a stream-open that stands for no position: a client that
// comes back with it starts as if it had none.
const NoID = noID

// AppendOpen appends stream-open, the first block of a route with ids, with
// the position that the client resumes from if it sees nothing else.
func AppendOpen(dst []byte, retry time.Duration, id []byte) []byte {
	dst = appendRetryLine(dst, retry)
	return AppendEvent(dst, id, []byte("stream-open"), []byte("{}"))
}

// Gap is what a client is told where events were, or may have been, missed.
type Gap struct {
	Reason      reason.Gap `json:"reason"`
	LastEventID string     `json:"lastEventId"`
	ResumedFrom string     `json:"resumedFrom"`
}

// AppendGap appends stream-gap. Its id is gap.ResumedFrom, the position that
// the stream goes on from, so that a cut right after it is exact.
func AppendGap(dst []byte, gap Gap) []byte {
	return AppendEvent(dst, []byte(gap.ResumedFrom), []byte("stream-gap"), marshal(gap))
}

// AppendGapFirst appends stream-gap as the first block of a response.
func AppendGapFirst(dst []byte, retry time.Duration, gap Gap) []byte {
	return AppendGap(appendRetryLine(dst, retry), gap)
}

// Retry is what a client is told that should come back.
type Retry struct {
	Reason reason.Leave `json:"reason"`
	// Code, Message and Status name the failure of the RPC, reason upstream
	// only.
	Code    int    `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	Status  string `json:"status,omitempty"`
}

// AppendRetry appends stream-retry; the client comes back after the given
// time.
func AppendRetry(dst []byte, after time.Duration, retry Retry) []byte {
	return AppendEvent(appendRetryLine(dst, after), nil, []byte("stream-retry"), marshal(retry))
}

// AppendStale appends stream-stale: no RPC is placed for the moment. code and
// status are the gRPC code of the last failure, as a number and as its name.
func AppendStale(dst []byte, code int, status string) []byte {
	return AppendEvent(dst, nil, []byte("stream-stale"), marshal(struct {
		Code   int    `json:"code"`
		Status string `json:"status"`
	}{code, status}))
}

// AppendLive appends stream-live: what was stale is back.
func AppendLive(dst []byte) []byte {
	return AppendEvent(dst, nil, []byte("stream-live"), []byte("{}"))
}

// AppendEnd appends stream-end; data is a JSON object.
func AppendEnd(dst, finalID, data []byte) []byte {
	return AppendEvent(dst, finalID, []byte("stream-end"), data)
}

// AppendError appends stream-error; data is a google.rpc.Status as JSON.
func AppendError(dst, finalID, data []byte) []byte {
	return AppendEvent(dst, finalID, []byte("stream-error"), data)
}

// marshal renders the small fixed shapes of control events, which cannot
// fail: they hold strings and integers only.
func marshal(shape any) []byte {
	data, err := json.Marshal(shape)
	if err != nil {
		panic(err)
	}
	return data
}
