package serve

import (
	"net/http"
	"testing"
)

func TestAcceptEncodingAllowsGzip(t *testing.T) {
	for lines, want := range map[string]bool{
		"":                              false,
		"gzip":                          true,
		"GZIP":                          true,
		"x-gzip":                        true,
		"deflate, gzip;q=1.0, *;q=0.5":  true,
		"gzip, deflate, br, zstd":       true,
		"br":                            false,
		"identity":                      false,
		"*":                             true,
		"*;q=0":                         false,
		"gzip;q=0":                      false,
		"gzip;q=0.000":                  false,
		"gzip; q=0.001":                 true,
		"gzip;Q=0":                      false,
		"*, gzip;q=0":                   false,
		"gzip;q=0, *":                   false,
		"*;q=0, gzip":                   true,
		"gzip;q=much":                   false,
		"gzip;level=9":                  true,
		"gzipped":                       false,
		"identity;q=1, *;q=0":           false,
		"br;q=1.0, gzip;q=0.8, *;q=0.1": true,
	} {
		r := &http.Request{Header: http.Header{}}
		if lines != "" {
			r.Header.Set("Accept-Encoding", lines)
		}
		if got := acceptsGzip(r); got != want {
			t.Errorf("%q: gzip is accepted: %t, want %t", lines, got, want)
		}
	}
	two := &http.Request{Header: http.Header{"Accept-Encoding": {"br", "gzip"}}}
	if !acceptsGzip(two) {
		t.Error("the second line of the header is ignored")
	}
}
