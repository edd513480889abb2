package delivery

import (
	"net/http"
	"time"
)

// sink is where a Stream writes to.
type sink interface {
	Write(p []byte) (int, error)
	Flush() error
	// SetWriteDeadline returns http.ErrNotSupported if the sink has no deadlines.
	SetWriteDeadline(at time.Time) error
}

// response is a sink for a response that net/http frames.
type response struct {
	http.ResponseWriter
	*http.ResponseController
}

func newResponse(w http.ResponseWriter) response {
	return response{w, http.NewResponseController(w)}
}
