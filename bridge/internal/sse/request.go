package sse

import (
	"net/http"
	"net/url"
	"strings"
)

// IDQueryNames returns the query parameters that may replace Last-Event-ID: a page that creates a new
// EventSource cannot set headers.
func IDQueryNames() []string { return []string{"last_event_id", "lastEventId"} }

// LastEventID returns the id that a client returns with: of the header, or else of the query.
func LastEventID(r *http.Request) string {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return id
	}
	for _, name := range IDQueryNames() {
		if id := queryValue(r.URL.RawQuery, name); id != "" {
			return id
		}
	}
	return ""
}

// queryValue returns a query parameter. Like package route, it follows the WHATWG's URL standard, in which
// only "&" separates parameters. url.ParseQuery drops parameters with a ";", so that a client with such an
// id would start without one, and takes milliseconds for a query of 64 KiB.
func queryValue(query, name string) string {
	for pair := range strings.SplitSeq(query, "&") {
		key, text, _ := strings.Cut(pair, "=")
		if key != name {
			if !strings.ContainsAny(key, "%+") {
				continue
			}
			if key, err := url.QueryUnescape(key); err != nil || key != name {
				continue
			}
		}
		if value, err := url.QueryUnescape(text); err == nil && value != "" {
			return value
		}
	}
	return ""
}
