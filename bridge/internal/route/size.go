package route

import (
	"fmt"
	"net/http"
)

// CheckSize holds a request's target and headers against a limit in bytes, each
// by itself. Errors are *Error: 414 for the target, 413 for the headers. The body
// is for its reader to limit. No limit is 0.
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

	// As HTTP/1.1 writes them: a colon, a space and a line break.
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
