package serve

import (
	"net/http"
	"slices"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/admit"
	"github.com/ssebridge/ssebridge/bridge/internal/observe"
)

// response reports the status and size of an answer to the request record, and sets write
// deadlines. Without a deadline, a client that opens no HTTP/2 window, or reads nothing,
// would keep its request and answer in memory as long as its connection lasts.
type response struct {
	http.ResponseWriter

	record *observe.Record
	gate   *admit.Gate
}

// Unwrap implements the interface that http.ResponseController looks for.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader records the status.
func (w *response) WriteHeader(status int) {
	w.record.SetStatus(status)
	w.limit(time.Time{})
	w.ResponseWriter.WriteHeader(status)
}

// Write counts the written bytes. Each piece of answerPiece bytes has a deadline.
func (w *response) Write(p []byte) (n int, err error) {
	whole := time.Now().Add(AnswerTimeout + time.Duration(len(p)/answerRate)*time.Second)
	for piece := range slices.Chunk(p, answerPiece) {
		w.limit(whole)
		var wrote int
		wrote, err = w.ResponseWriter.Write(piece)
		n += wrote
		if err != nil {
			break
		}
	}
	w.record.CountBytes(n)
	return n, err
}

const (
	// AnswerTimeout bounds the time to write answerPiece bytes of an answer that is not a
	// stream. The whole answer has AnswerTimeout and one more second for each answerRate
	// bytes.
	AnswerTimeout = 20 * time.Second
	answerPiece   = 16 << 10
	answerRate    = 64 << 10
)

// limit sets the deadline of the next write, no later than whole unless that is zero.
func (w *response) limit(whole time.Time) {
	timeout := AnswerTimeout
	if w.gate.AnswersPressed() {
		timeout = pressedTimeout
	}
	until := time.Now().Add(timeout)
	if !whole.IsZero() && whole.Before(until) {
		until = whole
	}
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(until)
}
