package ssetest

import (
	"net/http"
	"slices"
)

// CheckHead checks the head of a stream's response against the wire contract. Its error is a
// *Violation.
func CheckHead(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return violation([]byte(resp.Status), "a stream is answered with 200")
	}

	for _, want := range [][2]string{
		{"Content-Type", "text/event-stream"},
		{"Cache-Control", "no-cache, no-store, no-transform"},
		{"X-Accel-Buffering", "no"},
	} {
		if got := resp.Header.Values(want[0]); !slices.Equal(got, []string{want[1]}) {
			return violation(nil, "%s is exactly %q, not %q", want[0], want[1], got)
		}
	}

	if resp.ContentLength >= 0 {
		return violation(nil, "a stream has no Content-Length")
	}

	if resp.ProtoMajor == 1 && resp.ProtoMinor == 1 && !slices.Equal(resp.TransferEncoding, []string{"chunked"}) {
		return violation(nil, "HTTP/1.1 is chunked, never close-delimited, so that a cut is no clean end")
	}
	return nil
}
