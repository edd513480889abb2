package observe

import (
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
)

// unmatchedRoute is the route label of requests that match no route. A route's label begins
// with "/".
const unmatchedRoute = "unmatched"

// The status labels of answers that have none of answerStatuses.
const (
	otherAnswer   = "other"
	abortedAnswer = "aborted" // the client closed the connection, or the handler aborted the answer
)

// answerKinds is the number of answerStatuses.
const answerKinds = 21

// answerStatuses returns the statuses that the bridge sends, each of which has a series. Any
// other status, of a middleware, is counted as "other", so that traffic creates no series.
func answerStatuses() [answerKinds]int {
	return [answerKinds]int{
		http.StatusOK, http.StatusNoContent, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusRequestTimeout, http.StatusConflict, http.StatusPreconditionFailed,
		http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusUnsupportedMediaType, http.StatusTooManyRequests,
		statusClientClosedRequest, http.StatusInternalServerError, http.StatusNotImplemented, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout,
	}
}

// statusClientClosedRequest is nginx's HTTP status for CANCELLED.
const statusClientClosedRequest = 499

// Answers counts requests by the status of their answer. A status other than 200 stops a
// browser's EventSource forever, so these counters show a page that was released with a
// wrong path.
type Answers struct {
	byStatus       [answerKinds]atomic.Uint64
	other, aborted atomic.Uint64
}

// Add counts an answer by its status. Status 0 means that there was no answer.
func (c *Answers) Add(status int) {
	statuses := answerStatuses()
	switch at := slices.Index(statuses[:], status); {
	case status == 0:
		c.aborted.Add(1)
	case at < 0:
		c.other.Add(1)
	default:
		c.byStatus[at].Add(1)
	}
}

// answers sends a route's answers.
func (r scrape) answers(path string, c *Answers) {
	for at, status := range answerStatuses() {
		r.count("ssebridge_requests_total", c.byStatus[at].Load(), path, strconv.Itoa(status))
	}
	r.count("ssebridge_requests_total", c.other.Load(), path, otherAnswer)
	r.count("ssebridge_requests_total", c.aborted.Load(), path, abortedAnswer)
}
