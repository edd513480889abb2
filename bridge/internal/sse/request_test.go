package sse

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// It is parsed like the rest of the query, and cheaply: several steps of a request look for it before its size
// limits how many processors it may use.
func TestLastEventIDInTheQuery(t *testing.T) {
	for query, want := range map[string]string{
		"":                                  "",
		"last_event_id=7":                   "7",
		"lastEventId=7":                     "7",
		"x=1&last_event_id=a%20b+c&y":       "a b c",
		"last_event_id=a;b":                 "a;b",
		"last%5Fevent_id=7":                 "7",
		"last_event_id=&lastEventId=8":      "8",
		"lastEventId=8&last_event_id=7":     "7",
		"last_event_id=%zz":                 "",
		"last_event_id2=7&xlast_event_id=8": "",
	} {
		r := httptest.NewRequest(http.MethodGet, "/?"+query, http.NoBody)
		if got := LastEventID(r); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
		r.Header.Set("Last-Event-ID", "9")
		if got := LastEventID(r); got != "9" {
			t.Errorf("%s: %q in place of the header's", query, got)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/?"+strings.Repeat("a&", 30_000), http.NoBody)
	if allocs := testing.AllocsPerRun(10, func() { LastEventID(r) }); allocs > 2 {
		t.Errorf("%v allocations", allocs)
	}
}
