package serve

import (
	"net/http"
	"strconv"
	"strings"
)

// acceptsGzip reports whether a client accepts gzip (RFC 9110, section 12.5.3). A request
// without Accept-Encoding is not compressed.
func acceptsGzip(r *http.Request) bool {
	accepts := false
	for _, line := range r.Header.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(line, ",") {
			name, parameters, _ := strings.Cut(coding, ";")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "gzip", "x-gzip":
				return weighs(parameters) // more specific than *
			case "*":
				accepts = weighs(parameters)
			}
		}
	}
	return accepts
}

// weighs reports whether a coding's parameters allow it: its q is absent or above 0.
func weighs(parameters string) bool {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if strings.EqualFold(name, "q") {
			weight, err := strconv.ParseFloat(value, 64)
			return err == nil && weight > 0
		}
	}
	return true
}
