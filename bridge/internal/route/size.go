package route

import (
	"fmt"
	"net/http"
)

// CheckSize checks a request's target and its headers against a limit in bytes, each separately; 0 is
// no limit. Errors are *Error: 414 for the target, 413 for the headers. The reader of the body limits
// the body.
func CheckSize(r *http.Request, limit int) error {
	if limit <= 0 {
		return nil
	}

	target := len(r.RequestURI)
	if target == 0 {
		target = len(r.URL.RequestURI())
	}

	if target > limit {
		return &Error{
			Status:  http.StatusRequestURITooLong,
			Message: fmt.Sprintf("the path and the query are longer than %d bytes", limit),
		}
	}

	// HTTP/1.1 adds a colon, a space and a line break.
	size := 0

	for name, values := range r.Header {
		for _, v := range values {
			size += len(name) + len(v) + len(": \r\n")
		}
	}

	if size > limit {
		return &Error{
			Status:  http.StatusRequestEntityTooLarge,
			Message: fmt.Sprintf("the headers are longer than %d bytes", limit),
		}
	}
	return nil
}
