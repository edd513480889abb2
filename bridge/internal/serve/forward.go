package serve

import (
	"net/http"
	"slices"
	"strings"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/observe"
)

// withRequestID returns the request with its id as X-Request-Id, if the route forwards that
// header.
func withRequestID(r *http.Request, forwarded []config.Metadata, id string) *http.Request {
	forwards := slices.ContainsFunc(forwarded, func(m config.Metadata) bool {
		return strings.EqualFold(m.Name, observe.RequestIDHeader)
	})
	if sent := r.Header[observe.RequestIDHeader]; !forwards || len(sent) == 1 && sent[0] == id {
		return r
	}
	// A handler must not change the request (http.Handler).
	named := *r
	named.Header = r.Header.Clone()
	named.Header[observe.RequestIDHeader] = []string{id}
	return &named
}
