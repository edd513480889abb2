package observe

import (
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
)

// unmatchedRoute is the label of requests that no route takes. A route's own begins with "/".
const unmatchedRoute = "unmatched"

// The labels of answers that have none of answerStatuses.
const (
	otherAnswer   = "other"
	abortedAnswer = "aborted" // the client was gone, or the answer was given up
)

// answerKinds is how many statuses there are.
const answerKinds = 21

// answerStatuses are the statuses that requests are counted by: those that the bridge gives.
// Any other, of a middleware, is counted as "other", so that no series comes with traffic.
func answerStatuses() [answerKinds]int {
	return [answerKinds]int{
		http.StatusOK, http.StatusNoContent, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusRequestTimeout, http.StatusConflict, http.StatusPreconditionFailed,
		http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusUnsupportedMediaType, http.StatusTooManyRequests,
		statusClientClosedRequest, http.StatusInternalServerError, http.StatusNotImplemented, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout,
	}
}

// statusClientClosedRequest is what CANCELLED is as a status of HTTP, after nginx.
const statusClientClosedRequest = 499

// Answers counts requests by the status that they were answered with. A status other than
// 200 stops a browser's EventSource for good, so these are the counters in which a page that
// was released with a wrong path shows.
type Answers struct {
	byStatus       [answerKinds]atomic.Uint64
	other, aborted atomic.Uint64
}

// Add counts an answer; 0 is none.
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

// answers sends the counts of a route to a scrape.
func (r reading) answers(path string, c *Answers) {
	for at, status := range answerStatuses() {
		r.count("ssebridge_requests_total", c.byStatus[at].Load(), path, strconv.Itoa(status))
	}
	r.count("ssebridge_requests_total", c.other.Load(), path, otherAnswer)
	r.count("ssebridge_requests_total", c.aborted.Load(), path, abortedAnswer)
}
