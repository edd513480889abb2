package serve

import (
	"net/http"
	"strconv"
	"strings"
)

// acceptsGzip reports whether a client takes a response compressed (RFC 9110,
// section 12.5.3). One that does not say so does not.
func acceptsGzip(r *http.Request) bool {
	accepts := false
	for _, line := range r.Header.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(line, ",") {
			name, parameters, _ := strings.Cut(coding, ";")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "gzip", "x-gzip":
				return weighs(parameters) // it says more than *
			case "*":
				accepts = weighs(parameters)
			}
		}
	}
	return accepts
}

// weighs reports whether the parameters of a coding do not rule it out.
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
