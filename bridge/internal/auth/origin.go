package auth

import (
	"net/http"
	"net/url"
)

// IsForeign reports whether a page of another origin has caused a request. A browser sends cookies with
// such a request too, so they do not prove that the client's user wants it. http.CrossOriginProtection
// passes every GET, and a stream is opened by GET. The Sec-Fetch-Site "same-site" is foreign: a page on
// another port of the host is of the same site (Fetch Metadata, section 2.3).
func IsForeign(r *http.Request) bool {
	switch origins := r.Header["Origin"]; len(origins) {
	case 0:
		switch r.Header.Get("Sec-Fetch-Site") {
		case "", "same-origin", "none":
			return false
		}
		return true
	case 1:
		// The scheme is not compared: a proxy may have ended TLS.
		origin, err := url.Parse(origins[0])
		return err != nil || origin.Host == "" || origin.Host != r.Host
	}
	return true
}
