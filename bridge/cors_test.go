package bridge_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// corsSite serves routes to pages of https://app.example.com by each transport.
func corsSite(t *testing.T) (byTransport map[string]*corsClient, b *bridge.Bridge) {
	t.Helper()
	back := backend(t)
	back.Feed.Publish(&testv1.FeedEvent{Seq: 1})
	back.Feed.End(nil)
	const get = "ssebridge.test.v1.FeedService/Get"
	g := startWith(t, parse(t, "upstreams: {app: {target: '"+back.Target()+"'}}\ndrain: {delay: 0s, grace: 0s}\n"+
		"cors: {origins: [\"https://app.example.com\"], credentials: true}\nroutes:\n"+
		"  - {path: /feed, rpc: "+watch+", upstream: app, request: {set: {history: true}}}\n"+
		"  - {path: /get, rpc: "+get+", upstream: app, safe: true, methods: [GET, POST]}\n"+
		"  - {path: /closed, rpc: "+watch+", upstream: app, cors: none, request: {set: {history: true}}}\n"+
		"  - {path: /other, rpc: "+watch+", upstream: app, cors: {origins: [\"*\"], headers: [x-tenant]}, request: {set: {history: true}}}\n"), bridge.Options{})
	secure := httptest.NewUnstartedServer(g.Bridge)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(secure.Close)
	back.OnGet(nil)
	byTransport = map[string]*corsClient{}
	for name, c := range map[string]*corsClient{
		"HTTP/1.1": {g.URL, &http.Transport{Protocols: protocols(true, false)}},
		"h2c":      {g.URL, &http.Transport{Protocols: protocols(false, true)}},
		"TLS":      {secure.URL, &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}},
	} {
		t.Cleanup(c.transport.CloseIdleConnections)
		byTransport[name] = c
	}
	return byTransport, g.Bridge
}

type corsClient struct {
	url       string
	transport *http.Transport
}

// ask sends a request, and does not read the body of its answer.
func (c *corsClient) ask(t *testing.T, method, path string, headers ...string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, c.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
	return reply{Status: response.StatusCode, Header: response.Header}
}

// allowed are the CORS headers of an answer.
func allowed(answer reply) (names []string) {
	for name := range answer.Header {
		if name, found := strings.CutPrefix(name, "Access-Control-"); found {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Pages of an allowed origin read every answer, streams and errors alike; other pages read none.
func TestPagesOfAllowedOriginsReadAnswers(t *testing.T) {
	byTransport, _ := corsSite(t)
	const page, evil = "https://app.example.com", "https://evil.example"
	for name, c := range byTransport {
		t.Run(name, func(t *testing.T) {
			for _, test := range []struct {
				method, path string
				status       int
			}{
				{http.MethodGet, "/feed", http.StatusOK},
				{http.MethodHead, "/feed", http.StatusOK},
				{http.MethodGet, "/feed?nothing=1", http.StatusBadRequest},
				{http.MethodGet, "/get", http.StatusOK},
				{http.MethodPost, "/feed", http.StatusMethodNotAllowed},
				{http.MethodGet, "/nowhere", http.StatusNotFound},
				{http.MethodOptions, "/feed", http.StatusNoContent},
			} {
				got := c.ask(t, test.method, test.path, "Origin", page)
				if got.Status != test.status || got.Header.Get("Access-Control-Allow-Origin") != page ||
					got.Header.Get("Access-Control-Allow-Credentials") != "true" || !slices.Contains(got.Header.Values("Vary"), "Origin") {
					t.Errorf("%s %s: %d %v", test.method, test.path, got.Status, got.Header)
				}
				if exposed := got.Header.Get("Access-Control-Expose-Headers"); exposed != "X-Request-Id, Retry-After, Www-Authenticate" {
					t.Errorf("%s %s exposes %q", test.method, test.path, exposed)
				}
				for _, origin := range []string{evil, "null", "https://app.example.com.evil.example"} {
					got := c.ask(t, test.method, test.path, "Origin", origin)
					if names := allowed(got); got.Status != test.status || names != nil || !slices.Contains(got.Header.Values("Vary"), "Origin") {
						t.Errorf("%s %s of %s: %d %v", test.method, test.path, origin, got.Status, got.Header)
					}
				}
			}
		})
	}
}

// No cache keeps an answer, and no browser guesses what it is.
func TestEveryAnswerIsNotStoredAndNotSniffed(t *testing.T) {
	byTransport, _ := corsSite(t)
	for name, c := range byTransport {
		t.Run(name, func(t *testing.T) {
			for _, request := range []string{
				"GET /feed", "HEAD /feed", "HEAD /get", "GET /get", "POST /get", "POST /feed", "GET /nowhere", "OPTIONS /feed", "OPTIONS /nowhere", "GET /feed?nothing=1",
			} {
				method, path, _ := strings.Cut(request, " ")
				got := c.ask(t, method, path)
				if !strings.Contains(got.Header.Get("Cache-Control"), "no-store") || got.Header.Get("X-Content-Type-Options") != "nosniff" {
					t.Errorf("%s: %d %v", request, got.Status, got.Header)
				}
			}
		})
	}
}

// A final id's 204, a client that is shed and a backend's refusal can be read, too.
func TestPagesReadRefusals(t *testing.T) {
	back := backend(t)
	back.OnWatch(numbers(0, status.Error(codes.PermissionDenied, "not yours")))
	g := startWith(t, parse(t, "upstreams: {app: {target: '"+back.Target()+"'}}\ndrain: {delay: 0s, grace: 0s}\n"+
		"cors: {origins: [\"https://app.example.com\"]}\nroutes:\n  - {path: /feed, rpc: "+watch+", upstream: app}\n"), bridge.Options{})
	c := &corsClient{g.URL, &http.Transport{}}
	t.Cleanup(c.transport.CloseIdleConnections)
	refused := c.ask(t, http.MethodGet, "/feed", "Origin", "https://app.example.com")
	if refused.Status != http.StatusForbidden || refused.Header.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("%d %v", refused.Status, refused.Header)
	}
}

// A route's own cors replaces the bridge's.
func TestARouteHasItsOwnOrigins(t *testing.T) {
	byTransport, _ := corsSite(t)
	c := byTransport["HTTP/1.1"]
	closed := c.ask(t, http.MethodGet, "/closed", "Origin", "https://app.example.com")
	if names := allowed(closed); names != nil || slices.Contains(closed.Header.Values("Vary"), "Origin") {
		t.Errorf("%v", closed.Header)
	}
	other := c.ask(t, http.MethodGet, "/other", "Origin", "https://evil.example")
	if other.Header.Get("Access-Control-Allow-Origin") != "*" || other.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%v", other.Header)
	}
}

// A browser asks before a page of another origin sends a header of its own.
func TestPreflightsAreAnsweredByTheRoute(t *testing.T) {
	byTransport, _ := corsSite(t)
	for name, c := range byTransport {
		t.Run(name, func(t *testing.T) {
			for _, test := range []struct{ path, method, headers, origin, want string }{
				{"/feed", "GET", "authorization,last-event-id", "https://app.example.com", "Allow-Credentials Allow-Headers Allow-Methods Allow-Origin Max-Age"},
				{"/feed", "GET", "x-tenant", "https://app.example.com", ""},
				{"/feed", "GET", "authorization", "https://evil.example", ""},
				{"/get", "POST", "content-type", "https://app.example.com", "Allow-Credentials Allow-Headers Allow-Methods Allow-Origin Max-Age"},
				{"/closed", "GET", "authorization", "https://app.example.com", ""},
				{"/other", "GET", "x-tenant", "https://evil.example", "Allow-Headers Allow-Methods Allow-Origin Max-Age"},
			} {
				got := c.ask(t, http.MethodOptions, test.path, "Origin", test.origin,
					"Access-Control-Request-Method", test.method, "Access-Control-Request-Headers", test.headers)
				if names := strings.Join(allowed(got), " "); got.Status != http.StatusNoContent || names != test.want {
					t.Errorf("%+v: %d %s", test, got.Status, names)
				}
			}
			got := c.ask(t, http.MethodOptions, "/feed", "Origin", "https://app.example.com", "Access-Control-Request-Method", "GET")
			if got.Header.Get("Access-Control-Max-Age") != "600" {
				t.Errorf("%v", got.Header)
			}
		})
	}
}
