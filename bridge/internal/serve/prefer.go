package serve

import (
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/ssebridge/ssebridge/bridge/internal/failure"
)

// prefers reports whether a request has a preference (RFC 7240), such as status or
// drain=status.
func prefers(r *http.Request, preference string) bool {
	for _, line := range r.Header.Values("Prefer") {
		for part := range strings.SplitSeq(line, ",") {
			token, _, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(token), preference) {
				return true
			}
		}
	}
	return false
}

// wantsStatus reports whether a client prefers a status to an in-band report of a transient
// failure.
func wantsStatus(r *http.Request) bool { return prefers(r, "status") }

// refuseForProxy answers 503, for a proxy to retry at another bridge, and reports whether it
// did: if the bridge drains, and the request has the preference drain=status, which a proxy
// with several bridges adds to each request. A proxy that checks readiness itself does not
// need it.
//
// Only a stream that is opened by GET is refused. A proxy does not retry a POST, because it
// may have had an effect, so its client would get the 503. A unary call is answered as usual.
// With drain.alone there is no other bridge, and the 503 would stop an EventSource.
func (x *exchange) refuseForProxy() bool {
	if x.isUnary() || x.r.Method != http.MethodGet || !x.handler.Leaving.Draining() || x.handler.alone() || !prefers(x.r, "drain=status") {
		return false
	}
	x.w.Header().Set("Retry-After", "1")
	x.w.Header().Set("Connection", "close") // the proxy's next request should use another bridge
	x.refuseWith(http.StatusServiceUnavailable, nil, failure.Failure{Code: codes.Unavailable, Message: "the bridge drains; ask another one"})
	return true
}

// wantsStream reports whether the client can read an event stream, for requests to a method
// of unknown kind. A POST must accept it explicitly: for a unary call, 200 would mean
// success.
func wantsStream(r *http.Request) bool {
	accept := r.Header.Values("Accept")
	if wantsStatus(r) {
		return false
	}
	for _, line := range accept {
		if strings.Contains(line, "text/event-stream") || r.Method == http.MethodGet && strings.Contains(line, "*/*") {
			return true
		}
	}
	return len(accept) == 0 && r.Method == http.MethodGet
}
