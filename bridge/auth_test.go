package bridge_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/tokens/issuertest"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// startAuth serves routes to the clients of an issuer. more is YAML that the issuer has besides its name
// and audience, such as "key: []".
func startAuth(t *testing.T, issuer *issuertest.Issuer, target, more, routes string) *gateway {
	t.Helper()
	if more != "" {
		more = ", " + more
	}
	return startWith(t, parse(t, "upstreams:\n  app: {target: '"+target+"'}\ndrain: {delay: 0s, grace: 0s}\n"+
		"auth: {jwt: {issuer: '"+issuer.Name()+"', audience: ["+issuertest.Audience+"]"+more+"}}\nroutes:\n"+routes), bridge.Options{})
}

// bearer returns the options of a client with a token in its header.
func bearer(token string) ssetest.Options {
	return ssetest.Options{Header: http.Header{"Authorization": {"Bearer " + token}}}
}

// TestAuthModes covers what each mode does with each kind of token, by each kind of request.
func TestAuthModes(t *testing.T) {
	b, issuer := backend(t), issuertest.New(t)
	b.Feed.Publish(&testv1.FeedEvent{})
	b.Feed.End(nil)
	const get = "ssebridge.test.v1.FeedService/Get"
	g := startAuth(t, issuer, b.Target(), "", ""+
		"  - {path: /none, rpc: "+watch+", upstream: app, request: {set: {history: true}}}\n"+
		"  - {path: /optional, rpc: "+watch+", upstream: app, auth: optional, request: {set: {history: true}}}\n"+
		"  - {path: /required, rpc: "+watch+", upstream: app, auth: required, request: {set: {history: true}}}\n"+
		"  - {path: /unary, rpc: "+get+", upstream: app, auth: {mode: required}, methods: [GET, POST]}\n"+
		"  - {path: '/tenants/{name}', rpc: "+get+", upstream: app, auth: {mode: required, allow: "+
		"[{claim: scope, has: \"feed:read\"}, {claim: org.id, equals: \"{name}\"}, {claim: role, in: [admin, staff]}, {claim: email, exists: true}]}}\n")
	good, bad := issuer.Token("ada"), issuertest.New(t).Token("ada")
	org := func(id string) map[string]any { return map[string]any{"id": id} }
	tenant := func(more ...any) string {
		return issuer.Token("ada", append([]any{"scope", "x feed:read", "org", org("acme"), "role", "staff", "email", "a@example.com"}, more...)...)
	}
	for _, c := range []struct {
		path, token string
		want        int
	}{
		{"/none", "", 200},
		{"/none", bad, 200},
		{"/optional", "", 200},
		{"/optional", good, 200},
		{"/optional", bad, 401},
		{"/required", "", 401},
		{"/required", good, 200},
		{"/required", bad, 401},
		{"/unary", "", 401},
		{"/unary", good, 200},
		{"/unary", bad, 401},
		{"/tenants/acme", good, 403},
		{"/tenants/acme", tenant(), 200},
		{"/tenants/other", tenant(), 403},
		{"/tenants/acme", tenant("scope", []string{"feed:read"}), 200},
		{"/tenants/acme", tenant("scope", "feed:reader"), 403},
		{"/tenants/acme", tenant("role", "user"), 403},
		{"/tenants/acme", tenant("email", nil), 403},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			if method == http.MethodPost && c.path != "/unary" {
				continue
			}
			var headers []string
			if c.token != "" {
				headers = []string{"Authorization", "Bearer " + c.token}
			}
			got := do(t, method, g.URL+c.path, "", headers...)
			if got.Status != c.want {
				t.Errorf("%s %s: %d, want %d: %s", method, c.path, got.Status, c.want, got.Body)
			}
			challenge := got.Header.Get("WWW-Authenticate")
			switch {
			case got.Status == 401 && c.token == "" && challenge != "Bearer",
				got.Status == 401 && c.token != "" && challenge != `Bearer error="invalid_token"`,
				got.Status == 403 && challenge != `Bearer error="insufficient_scope"`,
				got.Status == 200 && challenge != "":
				t.Errorf("%s %s: %d with WWW-Authenticate: %s", method, c.path, got.Status, challenge)
			}
		}
	}
	// Before the 204 of a final id, and before a body is read.
	if got := do(t, http.MethodGet, g.URL+"/required", "", "Last-Event-ID", sse.FinalID("x")); got.Status != http.StatusUnauthorized {
		t.Errorf("a final id without a token: %d", got.Status)
	}
	if got := do(t, http.MethodPost, g.URL+"/unary", "no JSON"); got.Status != http.StatusUnauthorized {
		t.Errorf("a wrong body without a token: %d: %s", got.Status, got.Body)
	}
	log := g.Log.String()
	for _, secret := range []string{good, bad, strings.Split(good, ".")[1]} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has a token:\n%s", log)
		}
	}
}

// TestClaimsSetFields covers request.claims: clients cannot set such a field in any spelling.
func TestClaimsSetFields(t *testing.T) {
	b, issuer := backend(t), issuertest.New(t)
	const get = "ssebridge.test.v1.FeedService/Get"
	g := startAuth(t, issuer, b.Target(), "", "  - path: /get\n    rpc: "+get+"\n    upstream: app\n    auth: required\n    methods: [GET, POST]\n"+
		"    request: {query: true, body: true, claims: {sub: name, groups: kinds.string_list, org.level: kinds.int32_value}}\n")
	token := func(more ...any) []string {
		return []string{"Authorization", "Bearer " + issuer.Token("ada", append([]any{"groups", []string{"a", "b"}, "org", map[string]any{"level": 7}}, more...)...)}
	}
	got := do(t, http.MethodGet, g.URL+"/get", "", token()...)
	if want := `"name":"ada"`; got.Status != http.StatusOK || !strings.Contains(got.Body, want) || !strings.Contains(got.Body, `["a","b"]`) {
		t.Fatalf("%d: %s", got.Status, got.Body)
	}
	for _, query := range []string{"name=eve", "kinds.string_list=c", "kinds.int32Value=8", "kinds.int32_value=8"} {
		if got := do(t, http.MethodGet, g.URL+"/get?"+query, "", token()...); got.Status != http.StatusBadRequest {
			t.Errorf("?%s: %d: %s", query, got.Status, got.Body)
		}
	}
	for _, body := range []string{`{"name":"eve"}`, `{"na\u006de":"eve"}`, `{"kinds":{"stringList":["c"]}}`, `{"kinds":{"int32Value":8}}`} {
		if got := do(t, http.MethodPost, g.URL+"/get", body, token()...); got.Status != http.StatusBadRequest {
			t.Errorf("%s: %d: %s", body, got.Status, got.Body)
		}
	}
	for name, headers := range map[string][]string{
		"missing": token("groups", nil), "null": token("groups", "x", "org", map[string]any{"level": nil}), "of a wrong type": token("sub", []int{1}),
		"out of range": token("org", map[string]any{"level": int64(1) << 40}),
	} {
		if got := do(t, http.MethodGet, g.URL+"/get", "", headers...); got.Status != http.StatusForbidden {
			t.Errorf("a claim that is %s: %d: %s", name, got.Status, got.Body)
		}
	}
}

// TestIdentitiesShareNothing covers two users with equal requests: by a claim only, and with the token
// forwarded. What one has received is not for the other, even with an id of it.
func TestIdentitiesShareNothing(t *testing.T) {
	for name, request := range map[string]string{"a claim": "", "forwarded": ", request: {metadata: [authorization]}"} {
		for _, event := range []string{"", ", event: {id: seq}, resume: {field: after}"} {
			t.Run(name+event, func(t *testing.T) {
				b, issuer := backend(t), issuertest.New(t)
				b.OnWatch(func(r *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
					if r.GetAfter() > 0 {
						<-stream.Context().Done()
						return stream.Context().Err()
					}
					for n := range 3 {
						if err := stream.Send(&testv1.FeedEvent{Seq: int64(n + 1), Kind: fmt.Sprintf("rpc %d", b.Opens())}); err != nil {
							return err
						}
					}
					<-stream.Context().Done()
					return stream.Context().Err()
				})
				g := startAuth(t, issuer, b.Target(), "", "  - {path: /feed, rpc: "+watch+", upstream: app, share: true, join: held, auth: required"+request+event+"}")
				ada := ssetest.Connect(t, g.URL+"/feed", bearer(issuer.Token("ada")))
				seen := ada.AwaitMessages(3)
				again := ssetest.Connect(t, g.URL+"/feed", bearer(issuer.Token("ada")))
				again.AwaitMessages(3)
				if opens := b.Opens(); opens != 1 {
					t.Errorf("one user has %d RPCs", opens)
				}
				eve := bearer(issuer.Token("eve"))
				fresh := ssetest.Connect(t, g.URL+"/feed", eve)
				if first := fresh.AwaitMessages(3)[0]; first.Data == seen[0].Data {
					t.Errorf("another user reads %s", first.Data)
				}
				eve.LastEventID = seen[0].ID
				guess := ssetest.Connect(t, g.URL+"/feed", eve)
				guess.AwaitEvents(1)
				for _, message := range guess.Snapshot().Messages() {
					if message.Data == seen[1].Data {
						t.Errorf("another user's id reads %s", message.Data)
					}
				}
			})
		}
	}
}

// TestKeyLetsClientsShare covers auth.jwt.key.
func TestKeyLetsClientsShare(t *testing.T) {
	for key, want := range map[string]int{"": 3, "key: [tenant]": 2, "key: []": 1} {
		t.Run(key, func(t *testing.T) {
			b, issuer := backend(t), issuertest.New(t)
			g := startAuth(t, issuer, b.Target(), key, "  - {path: /feed, rpc: "+watch+", upstream: app, share: true, auth: required}")
			for _, client := range []ssetest.Options{
				bearer(issuer.Token("ada", "tenant", "a")), bearer(issuer.Token("ben", "tenant", "a")), bearer(issuer.Token("cyd", "tenant", "b")),
			} {
				ssetest.Connect(t, g.URL+"/feed", client).AwaitEvents(1)
			}
			b.AwaitRunning(want)
			if opens := b.Opens(); opens != want {
				t.Errorf("%d RPCs were opened, want %d", opens, want)
			}
		})
	}
}

// refreshing is a transport that sends a new token with each request.
type refreshing struct {
	issuer *issuertest.Issuer
	sub    string
	http.RoundTripper
}

func (r refreshing) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+r.issuer.Token(r.sub))
	return r.RoundTripper.RoundTrip(request)
}

// TestRefreshedTokensAreTheSameClient covers 1,000 refreshes of 100 clients on a route without cursors
// that forwards the token: no gap, and no second RPC.
func TestRefreshedTokensAreTheSameClient(t *testing.T) {
	b, issuer := backend(t), issuertest.New(t)
	g := startAuth(t, issuer, b.Target(), "", "  - {path: /feed, rpc: "+watch+", upstream: app, share: true, auth: required, request: {metadata: [authorization]}}")
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	clients := make([]*ssetest.Client, 100)
	for n := range clients {
		clients[n] = ssetest.Connect(t, g.URL+"/feed", ssetest.Options{Transport: refreshing{issuer, "ada", transport}})
		clients[n].AwaitEvents(1)
	}
	published := 0
	for range 10 {
		var coming sync.WaitGroup
		for n, c := range clients {
			if n%10 == 0 {
				b.Feed.Publish(&testv1.FeedEvent{})
				published++
			}
			coming.Go(c.Reconnect)
		}
		coming.Wait()
	}
	b.Feed.Publish(&testv1.FeedEvent{})
	published++
	for _, c := range clients {
		seen := c.Await("the last event", func(s ssetest.Snapshot) bool {
			messages := s.Messages()
			return len(messages) > 0 && strings.Contains(messages[len(messages)-1].Data, fmt.Sprintf(`"seq":"%d"`, published))
		})
		if seen.Gaps > 0 || len(seen.Messages()) != published {
			t.Errorf("%d gaps, and %d of %d events", seen.Gaps, len(seen.Messages()), published)
		}
	}
	if opens := b.Opens(); opens != 1 {
		t.Errorf("%d RPCs were opened", opens)
	}
}

// TestTheNewestTokenReopens covers a backend that ends an RPC when its token has become old: the bridge
// reopens it with the newest token of the clients, and clients notice a gap at most.
func TestTheNewestTokenReopens(t *testing.T) {
	b, issuer := backend(t), issuertest.New(t)
	var mu sync.Mutex
	var tokens []string
	expire := make(chan struct{})
	b.OnWatch(func(_ *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
		md, _ := metadata.FromIncomingContext(stream.Context())
		mu.Lock()
		tokens = append(tokens, md.Get("authorization")[0])
		first := len(tokens) == 1
		mu.Unlock()
		if err := stream.Send(&testv1.FeedEvent{Seq: int64(len(tokens))}); err != nil {
			return err
		}
		if first {
			<-expire
			return status.Error(codes.Unauthenticated, "the token is old")
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	})
	g := startAuth(t, issuer, b.Target(), "", "  - {path: /feed, rpc: "+watch+", upstream: app, share: true, auth: required, "+
		"event: {id: seq}, resume: {field: after}, request: {metadata: [authorization]}}")
	until := time.Now().Add(time.Hour).Unix()
	old, newer := issuer.Token("ada", "exp", until), issuer.Token("ada", "exp", until+60)
	first := ssetest.Connect(t, g.URL+"/feed", bearer(old))
	first.AwaitMessages(1)
	second := ssetest.Connect(t, g.URL+"/feed", bearer(newer))
	second.AwaitEvents(1)
	close(expire)
	first.AwaitMessages(2)
	if seen := first.Snapshot(); seen.Gaps > 0 || seen.Ended != nil {
		t.Errorf("the client saw\n%s", seen)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(tokens) != 2 || tokens[0] != "Bearer "+old || tokens[1] != "Bearer "+newer {
		t.Errorf("the RPCs had %d tokens, or others", len(tokens))
	}
}

// TestExpiry covers tokens that expire while a stream lives, and before it begins.
func TestExpiry(t *testing.T) {
	b, issuer := backend(t), issuertest.New(t)
	g := startAuth(t, issuer, b.Target(), "leeway: 0s, from: [header, \"cookie:session\", \"query:token\"]",
		"  - {path: /feed, rpc: "+watch+", upstream: app, share: true, auth: required}")
	soon := func() string { return issuer.Token("ada", "exp", time.Now().Add(3*time.Second).Unix()) }
	past := issuer.Token("ada", "exp", time.Now().Add(-time.Minute).Unix())
	longPast := issuer.Token("ada", "exp", time.Now().Add(-time.Hour).Unix())
	cookie := func(token string) ssetest.Options {
		return ssetest.Options{Header: http.Header{"Cookie": {"session=" + token}}}
	}

	began := time.Now()
	live := ssetest.Connect(t, g.URL+"/feed", bearer(soon()))
	inURL := ssetest.Connect(t, g.URL+"/feed?token="+soon(), ssetest.Options{})
	if retry := live.AwaitNamed("stream-retry", 0); !strings.Contains(retry.Data, `"expired"`) {
		t.Errorf("a stream whose token expires: %s", retry.Data)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it ended after %s", took)
	}
	if end := inURL.AwaitNamed("stream-error", 0); !strings.Contains(end.Data, `"UNAUTHENTICATED"`) {
		t.Errorf("a stream whose token is in the URL: %s", end.Data)
	}

	// A token that outlasts the range of durations.
	far := ssetest.Connect(t, g.URL+"/feed", bearer(issuer.Token("ada", "exp", int64(1)<<36)))
	far.AwaitEvents(1)
	b.Feed.Publish(&testv1.FeedEvent{})
	far.AwaitMessages(1)

	// An EventSource sends cookies, and no header of its own.
	eventSource := cookie(past)
	eventSource.Header.Set("Accept", "text/event-stream")
	told := ssetest.Connect(t, g.URL+"/feed", eventSource)
	if end := told.AwaitNamed("stream-error", 0); !strings.Contains(end.Data, `"UNAUTHENTICATED"`) {
		t.Errorf("an EventSource with a token that has just expired: %s", end.Data)
	}
	_ = told.AwaitEnd()
	told.Reconnect()
	if code := told.AwaitStatus(); code != http.StatusNoContent {
		t.Errorf("it comes back: %d", code)
	}
	for name, headers := range map[string][]string{
		"long ago":            {"Cookie", "session=" + longPast, "Accept", "text/event-stream"},
		"in a header":         {"Authorization", "Bearer " + past, "Accept", "text/event-stream"},
		"preferring a status": {"Cookie", "session=" + past, "Accept", "text/event-stream", "Prefer", "status"},
	} {
		if got := do(t, http.MethodGet, g.URL+"/feed", "", headers...); got.Status != http.StatusUnauthorized {
			t.Errorf("a token that has expired, %s: %d", name, got.Status)
		}
	}
}

// TestKeysThatCannotBeRead covers an issuer that is away: its clients are asked to come back.
func TestKeysThatCannotBeRead(t *testing.T) {
	b, issuer := backend(t), issuertest.New(t)
	issuer.SetAway(true)
	const get = "ssebridge.test.v1.FeedService/Get"
	g := startAuth(t, issuer, b.Target(), "refresh: {unknown: 1s}", "  - {path: /feed, rpc: "+watch+", upstream: app, auth: required}\n"+
		"  - {path: /unary, rpc: "+get+", upstream: app, auth: required, methods: [POST]}")
	token := issuer.Token("ada")
	page := ssetest.Connect(t, g.URL+"/feed", bearer(token))
	if retry := page.AwaitNamed("stream-retry", 0); !strings.Contains(retry.Data, `"auth"`) {
		t.Errorf("got %s", retry.Data)
	}
	if got := do(t, http.MethodGet, g.URL+"/feed", "", "Authorization", "Bearer "+token, "Prefer", "status"); got.Status != http.StatusServiceUnavailable {
		t.Errorf("preferring a status: %d", got.Status)
	}
	if got := do(t, http.MethodPost, g.URL+"/unary", "", "Authorization", "Bearer "+token); got.Status != http.StatusServiceUnavailable {
		t.Errorf("a unary method: %d", got.Status)
	}
	issuer.SetAway(false)
	_ = page.AwaitEnd()
	for page.Snapshot().Status != http.StatusOK || page.Snapshot().Ended != nil {
		page.Reconnect()
		page.AwaitEvents(1)
		page.Await("an open stream or its end", func(s ssetest.Snapshot) bool { return s.Ended != nil || b.Running() > 0 })
	}
}

// TestReloadOfAuth covers a reload that changes the issuer's audience: streams of routes that ask for
// tokens are asked to reconnect, and others go on.
func TestReloadOfAuth(t *testing.T) {
	b, issuer := backend(t), issuertest.New(t)
	routes := "  - {path: /feed, rpc: " + watch + ", upstream: app, auth: required}\n  - {path: /open, rpc: " + watch + ", upstream: app}\n"
	g := startAuth(t, issuer, b.Target(), "", routes)
	page := ssetest.Connect(t, g.URL+"/feed", bearer(issuer.Token("ada")))
	open := ssetest.Connect(t, g.URL+"/open", ssetest.Options{})
	page.AwaitEvents(1)
	open.AwaitEvents(1)
	cfg := parse(t, "upstreams:\n  app: {target: '"+b.Target()+"'}\ndrain: {delay: 0s, grace: 0s}\n"+
		"auth: {jwt: {issuer: '"+issuer.Name()+"', audience: [others]}}\nroutes:\n"+routes)
	if err := g.Bridge.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if retry := page.AwaitNamed("stream-retry", 0); !strings.Contains(retry.Data, `"reload"`) {
		t.Errorf("got %s", retry.Data)
	}
	_ = page.AwaitEnd()
	page.Reconnect()
	if code := page.AwaitStatus(); code != http.StatusUnauthorized {
		t.Errorf("a token for another audience: %d", code)
	}
	if err := open.Snapshot().Ended; err != nil {
		t.Errorf("the open stream: %v", err)
	}
}

// TestCookiesOfOtherOrigins covers tokens in cookies, which a browser sends for any page.
func TestCookiesOfOtherOrigins(t *testing.T) {
	b, issuer := backend(t), issuertest.New(t)
	b.Feed.Publish(&testv1.FeedEvent{})
	b.Feed.End(nil)
	const history = ", upstream: app, auth: required, request: {set: {history: true}}"
	g := startAuth(t, issuer, b.Target(), "from: [\"cookie:session\", header]", "  - {path: /own, rpc: "+watch+history+"}\n"+
		"  - {path: /shared, rpc: "+watch+history+", cors: {origins: [\"https://app.example.com\"], credentials: true}}\n"+
		"  - {path: /plain, rpc: "+watch+history+", cors: {origins: [\"https://app.example.com\"]}}\n"+
		"  - {path: /any, rpc: "+watch+history+", cors: {origins: [\"*\"]}}")
	own := strings.TrimPrefix(g.URL, "http://")
	host, _, _ := strings.Cut(own, ":")
	cookie := []string{"Cookie", "session=" + issuer.Token("ada")}
	for _, c := range []struct {
		path    string
		want    int
		headers []string
	}{
		{"/own", 200, nil},
		{"/own", 200, []string{"Origin", "http://" + own}},
		{"/own", 200, []string{"Origin", "https://" + own}}, // a proxy has ended TLS
		{"/own", 200, []string{"Sec-Fetch-Site", "same-origin"}},
		{"/own", 200, []string{"Sec-Fetch-Site", "none"}},
		{"/own", 403, []string{"Sec-Fetch-Site", "same-site"}},
		{"/own", 403, []string{"Sec-Fetch-Site", "cross-site"}},
		{"/own", 403, []string{"Origin", "http://" + host + ":1"}},
		{"/own", 403, []string{"Origin", "http://evil.example"}},
		{"/own", 403, []string{"Origin", "null"}},
		{"/own", 403, []string{"Origin", ""}},
		{"/own", 403, []string{"Origin", "https://app.example.com"}},
		{"/shared", 200, []string{"Origin", "https://app.example.com", "Sec-Fetch-Site", "cross-site"}},
		{"/shared", 403, []string{"Origin", "https://evil.example.com"}},
		{"/plain", 403, []string{"Origin", "https://app.example.com"}},
		{"/any", 403, []string{"Origin", "https://app.example.com"}},
	} {
		if got := do(t, http.MethodGet, g.URL+c.path, "", append(c.headers, cookie...)...); got.Status != c.want {
			t.Errorf("%s %q: %d, want %d", c.path, c.headers, got.Status, c.want)
		}
	}
	// A page has to know a token that it sends in a header.
	if got := do(t, http.MethodGet, g.URL+"/own", "", "Origin", "http://evil.example", "Authorization", "Bearer "+issuer.Token("ada")); got.Status != http.StatusOK {
		t.Errorf("a token in a header: %d", got.Status)
	}
}

// TestAuthenticateOfTheProgram covers a program with sessions of its own.
func TestAuthenticateOfTheProgram(t *testing.T) {
	b := backend(t)
	const get = "ssebridge.test.v1.FeedService/Get"
	text := "upstreams: {app: {target: '" + b.Target() + "'}}\ndrain: {delay: 0s, grace: 0s}\nroutes:\n" +
		"  - {path: /get, rpc: " + get + ", upstream: app, auth: {mode: required, allow: [{claim: level, equals: \"7\"}]}, request: {claims: {sub: name}}}\n" +
		"  - {path: /feed, rpc: " + watch + ", upstream: app, share: true, auth: optional}\n"
	sessions := map[string]map[string]any{
		"ada": {"sub": "lovelace", "level": 7}, "eve": {"sub": "eve", "level": int64(6)}, "old": {"sub": "ada", "level": 7, "exp": time.Now().Unix() - 1},
		"wrong": {"sub": make(chan int)},
	}
	var mu sync.Mutex // of sessions
	opts := bridge.Options{Authenticate: func(r *http.Request) (map[string]any, error) {
		switch name := r.Header.Get("X-Session"); name {
		case "":
			return nil, nil //nolint:nilnil // no session
		case "away":
			return nil, fmt.Errorf("asking for sessions: %w", bridge.ErrAuthUnavailable)
		default:
			mu.Lock()
			defer mu.Unlock()
			if claims := sessions[name]; claims != nil {
				return claims, nil
			}
			return nil, fmt.Errorf("there is no session %s", strings.Repeat("x", 10))
		}
	}}
	g := startWith(t, parse(t, text), opts)
	do(t, http.MethodGet, g.URL+"/get", "", "X-Session", "ada") // waits for the schema: until then a method may be a stream
	for session, want := range map[string]int{"ada": 200, "eve": 403, "old": 401, "wrong": 401, "none": 401, "": 401, "away": 503} {
		got := do(t, http.MethodGet, g.URL+"/get", "", "X-Session", session)
		if got.Status != want || want == 200 && !strings.Contains(got.Body, `"lovelace"`) {
			t.Errorf("session %q: %d, want %d: %s", session, got.Status, want, got.Body)
		}
	}
	if got := do(t, http.MethodGet, g.URL+"/get", "", "X-Session", "ada", "Sec-Fetch-Site", "same-site"); got.Status != http.StatusForbidden {
		t.Errorf("a page of another origin: %d", got.Status)
	}
	of := func(session string) ssetest.Options {
		return ssetest.Options{Header: http.Header{"X-Session": {session}}}
	}
	for _, session := range []string{"ada", "ada", "eve", ""} {
		ssetest.Connect(t, g.URL+"/feed", of(session)).AwaitEvents(1)
	}
	b.AwaitRunning(3)
	mu.Lock()
	sessions["short"] = map[string]any{"sub": "ada", "exp": float64(time.Now().UnixMilli()+2000) / 1000}
	mu.Unlock()
	if retry := ssetest.Connect(t, g.URL+"/feed", of("short")).AwaitNamed("stream-retry", 0); !strings.Contains(retry.Data, `"expired"`) {
		t.Errorf("a session that ends: %s", retry.Data)
	}
	if log := g.Log.String(); strings.Contains(log, "lovelace") {
		t.Errorf("the log has a claim:\n%s", log)
	}

	issuer := "auth: {jwt: {issuer: https://id.example.com, audience: [events]}}\n"
	for want, err := range map[string]error{
		"routes[1].auth: asks for a credential, and the bridge's auth names none": bridge.Check(parse(t, text), bridge.Options{}),
		"auth.jwt: has no effect with Options.Authenticate":                       bridge.Check(parse(t, text+issuer), opts),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
