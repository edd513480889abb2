package serve

import (
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/ssebridge/ssebridge/bridge/internal/failure"
)

// prefers reports whether a request carries a preference (RFC 7240), such as
// status or drain=status.
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

// wantsStatus reports whether a client prefers a status to being told of a passing
// failure in band.
func wantsStatus(r *http.Request) bool { return prefers(r, "status") }

// passesOn answers 503 to a request that a proxy can pass on: the bridge drains,
// and the request carries the preference drain=status, which a proxy with other
// bridges adds to each request. A proxy that asks for readiness itself needs none
// of it.
//
// Only a stream that is opened by GET is passed on. Proxies do not send a POST to
// a second bridge, since it may have had an effect, so the 503 would reach its
// client. A unary call is answered here as well as elsewhere. Where drain.alone
// says that there is no other bridge, the 503 would reach an EventSource and stop it.
func (x *exchange) passesOn() bool {
	if x.isUnary() || x.r.Method != http.MethodGet || !x.handler.Leaving.Draining() || x.handler.alone() || !prefers(x.r, "drain=status") {
		return false
	}
	x.w.Header().Set("Retry-After", "1")
	x.w.Header().Set("Connection", "close") // the proxy's next request need not come here
	x.refuseWith(http.StatusServiceUnavailable, nil, failure.Failure{Code: codes.Unavailable, Message: "the bridge drains; ask another one"})
	return true
}

// wantsStream reports whether an event stream is an answer that the client
// can read, where the bridge does not know yet what the method gives. A POST
// has to say so: to one that calls a unary method, 200 would be its success.
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
