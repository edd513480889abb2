package observe

import (
	"crypto/rand"
	"net/http"
	"strings"
)

const (
	// RequestIDHeader identifies a request in the logs of all hops. The bridge takes it from
	// a proxy, answers with it, and forwards it if the route's metadata says so.
	RequestIDHeader = "X-Request-Id"
	// requestIDBytes bounds an id that a client sends.
	requestIDBytes = 64
	// requestIDLetters is the length of a generated id, which has 80 random bits.
	requestIDLetters = 16
)

// requestID returns the id that a middleware has set on the response, else the request's own
// id or, if that is absent or not safe to log, a new one.
func requestID(answer http.Header, r *http.Request) string {
	for _, known := range [...][]string{answer[RequestIDHeader], r.Header[RequestIDHeader]} {
		if len(known) == 1 && isRequestID(known[0]) {
			return strings.Clone(known[0]) // without the larger string that it may be a part of
		}
	}
	return strings.Clone(rand.Text()[:requestIDLetters])
}

// isRequestID reports whether an id is safe in logs, headers and metadata: it consists of
// letters, digits and punctuation that has no meaning there.
func isRequestID(id string) bool {
	for _, c := range []byte(id) {
		letter, digit := 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9'
		if !letter && !digit && !strings.ContainsRune("-_.:/+=@", rune(c)) {
			return false
		}
	}
	return id != "" && len(id) <= requestIDBytes
}
