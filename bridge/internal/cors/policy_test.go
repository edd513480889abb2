package cors_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/cors"
)

// admit returns the headers of the answer to a request, without Vary.
func admit(p *cors.Policy, method string, headers ...string) http.Header {
	r := httptest.NewRequest(method, "/feed", http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	header := http.Header{}
	p.Admit(header, r)
	return header
}

// Only an origin that is listed is answered with one, and it is never made of anything else.
func TestOrigins(t *testing.T) {
	p := cors.New(cors.Params{Origins: []string{
		"https://app.example.com", "https://*.tenant.example", "http://localhost:5173", "capacitor://localhost", "https://*.port.example:8443",
	}, Methods: []string{"GET"}, Credentials: true})
	for origin, want := range map[string]bool{
		"https://app.example.com":                                true,
		"http://app.example.com":                                 false,
		"https://app.example.com:8443":                           false,
		"https://app.example.com.evil.example":                   false,
		"https://evilapp.example.com":                            false,
		"https://APP.example.com":                                false,
		"https://app.example.com/":                               false,
		"https://app.example.com, https://evil":                  false,
		"https://a.tenant.example":                               true,
		"https://a-1.tenant.example":                             true,
		"https://tenant.example":                                 false,
		"https://.tenant.example":                                false,
		"https://a.b.tenant.example":                             false,
		"https://evil.example/.tenant.example":                   false,
		"https://evil.example:1@x.tenant.example":                false,
		"https://evil.example%2f.tenant.example":                 false,
		"https://eviltenant.example":                             false,
		"http://a.tenant.example":                                false,
		"https://a.tenant.example:443":                           false,
		"https://" + strings.Repeat("a", 64) + ".tenant.example": false,
		"https://a.port.example:8443":                            true,
		"https://a.port.example":                                 false,
		"http://localhost:5173":                                  true,
		"http://localhost":                                       false,
		"capacitor://localhost":                                  true,
		"null":                                                   false,
		"*":                                                      false,
		"":                                                       false,
	} {
		header := admit(p, http.MethodGet, "Origin", origin)
		if got := header.Get("Access-Control-Allow-Origin"); (got != "") != want || got != "" && got != origin {
			t.Errorf("%q is answered with %q", origin, got)
		}
		if !want && len(header) != 1 {
			t.Errorf("%q: %v", origin, header)
		}
		if got := header.Get("Vary"); got != "Origin" {
			t.Errorf("%q: Vary: %q", origin, got)
		}
	}
	if header := admit(p, http.MethodGet, "Origin", "https://app.example.com", "Origin", "https://evil.example"); len(header) != 1 {
		t.Errorf("two origins: %v", header)
	}
	if header := admit(p, http.MethodGet); len(header) != 1 {
		t.Errorf("no origin: %v", header)
	}
}

func TestAnyOriginAndNull(t *testing.T) {
	for _, test := range []struct{ allowed, origin, want string }{
		{"*", "https://evil.example", "*"},
		{"*", "null", "*"},
		{"null", "null", "null"},
		{"null", "https://evil.example", ""},
	} {
		p := cors.New(cors.Params{Origins: []string{test.allowed}, Methods: []string{"GET"}})
		header := admit(p, http.MethodGet, "Origin", test.origin)
		if got := header.Get("Access-Control-Allow-Origin"); got != test.want || header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %v", test.origin, header)
		}
	}
}

func TestPreflight(t *testing.T) {
	p := cors.New(cors.Params{
		Origins: []string{"https://app.example.com"}, Methods: []string{"GET", "HEAD"}, Headers: []string{"X-Tenant"}, MaxAge: 90 * time.Second,
		Credentials: true,
	})
	ask := func(origin, method, headers string) http.Header {
		return admit(p, http.MethodOptions, "Origin", origin, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", headers)
	}
	got := ask("https://app.example.com", "GET", "authorization,last-event-id,x-tenant")
	want := http.Header{
		"Access-Control-Allow-Origin":      {"https://app.example.com"},
		"Access-Control-Allow-Methods":     {"GET"},
		"Access-Control-Allow-Headers":     {"authorization,last-event-id,x-tenant"},
		"Access-Control-Allow-Credentials": {"true"},
		"Access-Control-Max-Age":           {"90"},
		"Vary":                             {"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"},
	}
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%v", got)
	}
	for _, refused := range []http.Header{
		ask("https://evil.example", "GET", "authorization"),
		ask("https://app.example.com", "DELETE", ""),
		ask("https://app.example.com", "GET", "x-other"),
	} {
		if len(refused) != 1 || refused.Get("Vary") == "" {
			t.Errorf("%v", refused)
		}
	}
}

// Without a time a browser would choose one.
func TestMaxAgeOfZeroIsSaid(t *testing.T) {
	p := cors.New(cors.Params{Origins: []string{"*"}, Methods: []string{"GET"}})
	if got := admit(p, http.MethodOptions, "Origin", "https://a.example", "Access-Control-Request-Method", "GET").Get("Access-Control-Max-Age"); got != "0" {
		t.Errorf("%q", got)
	}
}

func TestNoPolicySetsNothing(t *testing.T) {
	if header := admit(cors.New(cors.Params{}), http.MethodGet, "Origin", "https://a.example"); len(header) != 0 {
		t.Errorf("%v", header)
	}
}

// Whatever an Origin is, the answer is that text whole, or nothing.
func FuzzOrigin(f *testing.F) {
	for _, seed := range []string{"https://a.tenant.example", "https://evil/.tenant.example", "null", "*", "https://a.tenant.example\r\nX: y"} {
		f.Add(seed)
	}
	p := cors.New(cors.Params{Origins: []string{"https://*.tenant.example", "https://app.example.com"}, Methods: []string{"GET"}})
	f.Fuzz(func(t *testing.T, origin string) {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Header["Origin"] = []string{origin}
		header := http.Header{}
		p.Admit(header, r)
		got, allowed := header["Access-Control-Allow-Origin"]
		label, isTenant := strings.CutSuffix(strings.TrimPrefix(origin, "https://"), ".tenant.example")
		want := origin == "https://app.example.com" ||
			isTenant && origin == "https://"+label+".tenant.example" && label != "" && !strings.ContainsAny(label, "./:@%\\ \r\n\x00")
		switch {
		case allowed && (len(got) != 1 || got[0] != origin):
			t.Errorf("%q is answered with %q", origin, got)
		case allowed && !want:
			t.Errorf("%q is allowed", origin)
		}
	})
}
