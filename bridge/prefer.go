package bridge

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
func (e *endpoint) passesOn(w http.ResponseWriter, r *http.Request, stream bool) bool {
	if !stream || r.Method != http.MethodGet || !e.bridge.draining.Load() || e.bridge.alone() || !prefers(r, "drain=status") {
		return false
	}
	w.Header().Set("Retry-After", "1")
	w.Header().Set("Connection", "close") // the proxy's next request need not come here
	f := failure.Failure{Code: codes.Unavailable, Message: "the bridge drains; ask another one"}
	visitOf(w).refused(refusal{code: f.Code, message: f.Message})
	writeJSON(w, http.StatusServiceUnavailable, f.Body())
	return true
}
