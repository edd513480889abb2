package cli

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// adminOf is an admin handler whose bridge answers everything.
func adminOf(profiles bool) http.Handler {
	say := func(what string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, what) })
	}
	return newAdmin(say("bridge"), say("metrics"), profiles)
}

func TestAdminAnswersOthersOnlyOpenPaths(t *testing.T) {
	const local = "127.0.0.1:4711"
	for _, tc := range []struct {
		name, path, peer, host string
		header                 string
		want                   int
	}{
		{"health from anywhere", "/healthz", "10.0.0.1:1", "pod:9901", "", http.StatusOK},
		{"readiness behind a proxy", "/readyz", "10.0.0.1:1", "pod:9901", "X-Forwarded-For: 1.2.3.4", http.StatusOK},
		{"metrics from anywhere", "/metrics", "10.0.0.1:1", "pod:9901", "", http.StatusOK},
		{"the rest from elsewhere", "/topics", "10.0.0.1:1", "localhost:9901", "", http.StatusForbidden},
		{"a longer path", "/healthz/x", "10.0.0.1:1", "localhost:9901", "", http.StatusForbidden},
		{"profiles from elsewhere", "/debug/pprof/", "10.0.0.1:1", "localhost:9901", "", http.StatusForbidden},
		{"the rest from here", "/topics", local, "localhost:9901", "", http.StatusOK},
		{"by address", "/topics", local, "127.0.0.1:9901", "", http.StatusOK},
		{"without a port", "/topics", local, "LOCALHOST", "", http.StatusOK},
		{"by IPv6", "/topics", "[::1]:1", "[::1]:9901", "", http.StatusOK},
		{"by IPv6 without a port", "/topics", "[::1]:1", "[::1]", "", http.StatusOK},
		{"by IPv4 in IPv6", "/topics", "[::ffff:127.0.0.1]:1", "127.0.0.1", "", http.StatusOK},
		{"a name that resolves to here", "/topics", local, "evil.example:9901", "", http.StatusForbidden},
		{"a name that looks like here", "/topics", local, "localhost.evil.example", "", http.StatusForbidden},
		{"no Host", "/topics", local, "", "", http.StatusForbidden},
		{"a link in a page", "/debug/pprof/profile", local, "localhost:9901", "Sec-Fetch-Site: cross-site", http.StatusForbidden},
		{"another port's page", "/topics", local, "localhost:9901", "Sec-Fetch-Site: same-site", http.StatusForbidden},
		{"an own page", "/topics", local, "localhost:9901", "Sec-Fetch-Site: same-origin", http.StatusOK},
		{"a person", "/topics", local, "localhost:9901", "Sec-Fetch-Site: none", http.StatusOK},
		{"a proxy on this machine", "/topics", local, "localhost:9901", "X-Forwarded-For: 203.0.113.7", http.StatusForbidden},
		{"one that says so by the standard", "/topics", local, "localhost:9901", "Forwarded: for=203.0.113.7", http.StatusForbidden},
		{"one that says so otherwise", "/topics", local, "localhost:9901", "Via: 1.1 proxy", http.StatusForbidden},
		{"one that says no address", "/topics", local, "localhost:9901", "X-Forwarded-Proto: http", http.StatusForbidden},
		{"one that says a port", "/topics", local, "localhost:9901", "X-Forwarded-Port: 1", http.StatusForbidden},
		{"one that says so with nothing", "/topics", local, "localhost:9901", "X-Forwarded-For: ", http.StatusForbidden},
		{"one that writes underscores", "/topics", local, "localhost:9901", "X_Forwarded_For: 1.2.3.4", http.StatusForbidden},
		{"a sidecar", "/topics", local, "localhost:9901", "X-Envoy-Decorator-Operation: a", http.StatusForbidden},
		{"an old browser on another's page", "/topics", local, "localhost:9901", "Origin: http://evil.example", http.StatusForbidden},
		{"one that hides its page", "/topics", local, "localhost:9901", "Origin: null", http.StatusForbidden},
		{"a link on another's page", "/topics", local, "localhost:9901", "Referer: http://evil.example/localhost:9901", http.StatusForbidden},
		{"another port's page, in an old browser", "/topics", local, "localhost:9901", "Referer: http://localhost:80/", http.StatusForbidden},
		{"a page that is no URL", "/topics", local, "localhost:9901", "Referer: http://%zz", http.StatusForbidden},
		{"an own page, in an old browser", "/topics", local, "localhost:9901", "Referer: http://localhost:9901/debug/pprof/", http.StatusOK},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, tc.path, nil)
			r.RemoteAddr, r.Host = tc.peer, tc.host
			if name, value, ok := strings.Cut(tc.header, ": "); ok {
				r.Header.Set(name, value)
			}
			answer := httptest.NewRecorder()
			adminOf(true).ServeHTTP(answer, r)
			if answer.Code != tc.want {
				t.Errorf("got %d, want %d: %s", answer.Code, tc.want, answer.Body)
			}
		})
	}
}

// A peer that may open the socket's file is on this machine.
func TestAdminTakesUnixPeersForLocal(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/topics", nil)
	r.RemoteAddr, r.Host = "@", "localhost"
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.UnixAddr{Name: "/run/s", Net: "unix"}))
	answer := httptest.NewRecorder()
	adminOf(false).ServeHTTP(answer, r)
	if answer.Code != http.StatusOK {
		t.Errorf("got %d", answer.Code)
	}
}

func TestProfilesOnlyWhereAskedFor(t *testing.T) {
	for _, profiles := range []bool{false, true} {
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/heap?debug=1"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.RemoteAddr, r.Host = "127.0.0.1:1", "localhost"
			answer := httptest.NewRecorder()
			adminOf(profiles).ServeHTTP(answer, r)
			if got := answer.Body.String() != "bridge"; answer.Code != http.StatusOK || got != profiles {
				t.Errorf("%s, profiles %v: %d, %.20s", path, profiles, answer.Code, answer.Body)
			}
		}
	}
}
