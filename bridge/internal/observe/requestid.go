package observe

import (
	"crypto/rand"
	"net/http"
	"strings"
)

const (
	// RequestIDHeader names a request in logs on its whole way: it is taken from
	// a proxy in front, answered with, and forwarded where the route says so.
	RequestIDHeader = "X-Request-Id"
	// requestIDBytes bounds an id that a client has chosen.
	requestIDBytes = 64
	// requestIDLetters is how many letters an id of the bridge's own has: 80
	// random bits.
	requestIDLetters = 16
)

// requestID returns the id that a middleware has answered a request with already,
// else the one that it comes with or, where that is none or nothing to write into
// logs, a new one.
func requestID(answer http.Header, r *http.Request) string {
	for _, known := range [...][]string{answer[RequestIDHeader], r.Header[RequestIDHeader]} {
		if len(known) == 1 && isRequestID(known[0]) {
			return strings.Clone(known[0]) // what it was cut from need not be kept with it
		}
	}
	return strings.Clone(rand.Text()[:requestIDLetters])
}

// isRequestID reports whether an id may go into logs, headers and metadata as it
// is: some letters, digits and signs that mean nothing anywhere.
func isRequestID(id string) bool {
	for _, c := range []byte(id) {
		letter, digit := 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9'
		if !letter && !digit && !strings.ContainsRune("-_.:/+=@", rune(c)) {
			return false
		}
	}
	return id != "" && len(id) <= requestIDBytes
}
