package route

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestCheckSize(t *testing.T) {
	t.Parallel()

	with := func(target string, headers ...string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		for _, h := range headers {
			r.Header.Add("X", h)
		}
		return r
	}

	for _, tt := range []struct {
		name    string
		request *http.Request
		limit   int
		want    string
	}{
		{"no limit", with("/" + strings.Repeat("a", 1000)), 0, ""},
		{"at the limit", with("/" + strings.Repeat("a", 99)), 100, ""},
		{"long path", with("/" + strings.Repeat("a", 100)), 100, "414 : the path and the query are longer than 100 bytes"},
		{"long query", with("/?" + strings.Repeat("a", 99)), 100, "414 : the path and the query are longer than 100 bytes"},
		{"no request line", &http.Request{URL: &url.URL{Path: strings.Repeat("/", 101)}}, 100, "414 : the path and the query are longer than 100 bytes"},
		{"headers at the limit", with("/", strings.Repeat("a", 45), strings.Repeat("a", 45)), 100, ""},
		{"long headers", with("/", strings.Repeat("a", 45), strings.Repeat("a", 46)), 100, "413 : the headers are longer than 100 bytes"},
		{"many headers", with("/", make([]string, 21)...), 100, "413 : the headers are longer than 100 bytes"},
	} {
		err := CheckSize(tt.request, tt.limit)
		if tt.want == "" && err != nil || tt.want != "" && outcome(err) != tt.want {
			t.Errorf("%s: got %v; want %q", tt.name, err, tt.want)
		}
	}
}

func TestHostHeader(t *testing.T) {
	t.Parallel()

	r := httptest.NewRequest(http.MethodGet, "http://shop.example/", nil)

	bound, err := compile(t, Spec{Headers: map[string]string{"host": "topic"}}).Bind(r, nil, nil, Client{})
	if err != nil {
		t.Fatal(err)
	}

	if got := decode(t, bound).GetTopic(); got != "shop.example" {
		t.Errorf("got %q", got)
	}
}
