package delivery

import (
	"net/http"
	"time"
)

// sink is what a stream is written to by a goroutine of its own.
type sink interface {
	Write(p []byte) (int, error)
	Flush() error
	// SetWriteDeadline returns http.ErrNotSupported where there are none.
	SetWriteDeadline(at time.Time) error
}

// response is a sink that net/http frames.
type response struct {
	http.ResponseWriter
	*http.ResponseController
}

func newResponse(w http.ResponseWriter) response {
	return response{w, http.NewResponseController(w)}
}
