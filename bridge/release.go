package bridge

import (
	"net/http"
	"net/url"
)

// ReleaseRequests lets an HTTP/2 server free the headers and target of each request as soon as
// next does not use them any more. net/http keeps them as long as the handler runs, which is
// hours for an event stream. A program that serves a bridge to the public should wrap its
// outermost handler. A server other than net/http must not read a request's headers after the
// handler has been called.
func ReleaseRequests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor < 2 {
			next.ServeHTTP(w, r) // the bridge takes the connection over, or it serves only this request
			return
		}
		own := r.WithContext(r.Context())
		r.Header, r.URL, r.RequestURI, r.Trailer = http.Header{}, &url.URL{}, "", nil
		next.ServeHTTP(w, own)
	})
}
