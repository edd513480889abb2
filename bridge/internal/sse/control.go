package sse

import (
	"encoding/json"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// NoID is the id of a stream-open without a position: a client that returns with it starts as if it had
// no id.
const NoID = noID

// AppendOpen appends stream-open, the first block of a route with ids. id is the position from which a
// client resumes that has received nothing else.
func AppendOpen(dst []byte, retry time.Duration, id []byte) []byte {
	dst = appendRetryLine(dst, retry)
	return AppendEvent(dst, id, []byte("stream-open"), []byte("{}"))
}

// Gap is the data of stream-gap: the client has missed events, or may have.
type Gap struct {
	Reason      reason.Gap `json:"reason"`
	LastEventID string     `json:"lastEventId"`
	ResumedFrom string     `json:"resumedFrom"`
}

// AppendGap appends stream-gap. Its id is gap.ResumedFrom, the position at which the stream continues, so
// that a client that is cut off right after it misses nothing.
func AppendGap(dst []byte, gap Gap) []byte {
	return AppendEvent(dst, []byte(gap.ResumedFrom), []byte("stream-gap"), marshal(gap))
}

// AppendGapFirst appends stream-gap as the first block of a response.
func AppendGapFirst(dst []byte, retry time.Duration, gap Gap) []byte {
	return AppendGap(appendRetryLine(dst, retry), gap)
}

// Retry is the data of stream-retry: the client is asked to reconnect.
type Retry struct {
	Reason reason.Leave `json:"reason"`
	// Code, Message and Status describe the failure of the RPC, for the reason upstream only.
	Code    int    `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	Status  string `json:"status,omitempty"`
}

// AppendRetry appends stream-retry. The client reconnects after the given time.
func AppendRetry(dst []byte, after time.Duration, retry Retry) []byte {
	return AppendEvent(appendRetryLine(dst, after), nil, []byte("stream-retry"), marshal(retry))
}

// AppendStale appends stream-stale: the topic has no RPC at present. code and status are the gRPC code of
// the last failure, as a number and by name.
func AppendStale(dst []byte, code int, status string) []byte {
	return AppendEvent(dst, nil, []byte("stream-stale"), marshal(struct {
		Code   int    `json:"code"`
		Status string `json:"status"`
	}{code, status}))
}

// AppendLive appends stream-live: the topic has an RPC again.
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

// marshal renders control events. It cannot fail, since they have only strings and integers.
func marshal(shape any) []byte {
	data, err := json.Marshal(shape)
	if err != nil {
		panic(err)
	}
	return data
}
