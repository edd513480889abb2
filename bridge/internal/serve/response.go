package serve

import (
	"net/http"
	"slices"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/admit"
	"github.com/ssebridge/ssebridge/bridge/internal/observe"
)

// response is a response whose record sees what the request is answered with, and whose
// writes have deadlines. net/http has none: a client that opens no window, or reads nothing,
// would hold its request and answer for as long as its connection lasts.
type response struct {
	http.ResponseWriter

	record *observe.Record
	gate   *admit.Gate
}

// Unwrap implements the interface that http.ResponseController looks for.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader notes the status.
func (w *response) WriteHeader(status int) {
	w.record.SetStatus(status)
	w.limit(time.Time{})
	w.ResponseWriter.WriteHeader(status)
}

// Write counts what is written. Each piece of it has its time.
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
	// AnswerTimeout is how long a client may take to take what is no stream, or as
	// much of it as answerPiece. For all of it there is as much time, and a second
	// for each answerRate bytes.
	AnswerTimeout = 20 * time.Second
	answerPiece   = 16 << 10
	answerRate    = 64 << 10
)

// limit sets a deadline for the next write, no later than whole if that is set.
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
