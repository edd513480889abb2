package bridge

import (
	"net/http"
	"net/url"
)

// ReleaseRequests lets an HTTP/2 server free each request as soon as next has no
// use for it: net/http keeps a request, with headers and target, for as long as its
// handler runs, and an event stream runs for hours. A program that serves a bridge
// to the public wraps it, outside of all other handlers; the server itself must not
// read a request's headers afterwards, as net/http does not.
func ReleaseRequests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor < 2 {
			next.ServeHTTP(w, r) // its connection is taken over, or carries nothing else
			return
		}
		own := r.WithContext(r.Context())
		r.Header, r.URL, r.RequestURI, r.Trailer = http.Header{}, &url.URL{}, "", nil
		next.ServeHTTP(w, own)
	})
}
