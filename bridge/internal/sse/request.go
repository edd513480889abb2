package sse

import (
	"net/http"
	"net/url"
	"strings"
)

// IDQueryNames returns the query forms of Last-Event-ID, for pages that open an EventSource
// anew and still know where they were.
func IDQueryNames() []string { return []string{"last_event_id", "lastEventId"} }

// LastEventID returns the id that a client comes back with: of the header, or else of the
// query.
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

// queryValue returns a parameter of a query that is read as package route reads it, by
// the WHATWG's URL standard: only "&" separates. url.ParseQuery drops what has a ";",
// so that a client with such an id would begin anew, and it takes milliseconds for a
// query of 64 KiB.
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
