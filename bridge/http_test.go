package bridge_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// fewRoutes are a stream and unary methods.
const fewRoutes = `limits: {request_bytes: 1KiB, message_bytes: 1KiB}
routes:
  - {path: "/feeds/{topic}", rpc: ssebridge.test.v1.FeedService/Watch, upstream: app, share: true, request: {query: [limit]}}
  - {path: "/feeds/{topic}", rpc: ssebridge.test.v1.FeedService/Watch, upstream: app, share: true, methods: [POST]}
  - {path: "/things/{name}", rpc: ssebridge.test.v1.FeedService/Get, upstream: app, request: {query: true}}
  - {path: "/things/{name}", rpc: ssebridge.test.v1.FeedService/Put, upstream: app, methods: [POST], timeout: 5s}
  - {path: "/safe/{name}", rpc: ssebridge.test.v1.FeedService/Put, upstream: app, safe: true, request: {query: true, ignore: [_ts, "utm_*"]}}
  - path: "/constant/{name}"
    rpc: ssebridge.test.v1.FeedService/Put
    upstream: app
    safe: true
    request: {set: {kinds.choice_nested: {}, kinds.nested_list: [{name: a, number: 1}, {}], kinds.struct: {a: [1, null]}}, headers: {x-filter: kinds.nested}}
  - {path: "/put/{name}", rpc: ssebridge.test.v1.FeedService/Put, upstream: app, methods: [POST], request: {body: false}}
`

func TestRequestsThatOpenNoStream(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for _, test := range []struct {
		method, path, body string
		headers            []string
		status             int
		allow, want        string
	}{
		{"HEAD", "/feeds/a", "", nil, 200, "", ""},
		{"HEAD", "/things/a", "", nil, 200, "", ""},
		{"HEAD", "/feeds/a?limit=x", "", nil, 400, "", ""},
		{"HEAD", "/things/a?unknown=1", "", nil, 400, "", ""},
		{"HEAD", "/feeds/a?limit=1&x=" + long, "", nil, 414, "", ""},
		{"HEAD", "/feeds/a", "", []string{"X-Long", long}, 413, "", ""},
		{"OPTIONS", "/feeds/a", "", nil, 204, "GET, HEAD, OPTIONS, POST", ""},
		{"OPTIONS", "/put/a", "", nil, 204, "OPTIONS, POST", ""},
		{"OPTIONS", "/nothing", "", nil, 404, "", `{"code":5,"message":"no route matches the path"}`},
		{"GET", "/nothing", "", nil, 404, "", `{"code":5,"message":"no route has this path"}`},
		{"GET", "/feeds", "", nil, 404, "", `{"code":5,"message":"no route has this path"}`},
		{"GET", "/feeds/a/b", "", nil, 404, "", `{"code":5,"message":"no route has this path"}`},
		{"GET", "/feeds/", "", nil, 404, "", `{"code":5,"message":"no route has this path"}`},
		{"PUT", "/feeds/a", "", nil, 405, "GET, HEAD, OPTIONS, POST", `{"code":12,"message":"the path does not take the method PUT"}`},
		{"DELETE", "/things/a", "", nil, 405, "GET, HEAD, OPTIONS, POST", `{"code":12,"message":"the path does not take the method DELETE"}`},
		{"HEAD", "/put/a", "", nil, 405, "OPTIONS, POST", ""},
		{"FORGED", "/feeds/a", "", nil, 405, "GET, HEAD, OPTIONS, POST", `{"code":12,"message":"the path does not take the method FORGED"}`},
		{
			"GET", "/feeds/a?limit=x", "", nil, 400, "",
			`{"code":3,"message":"limit: want a 32-bit integer, got \"x\"","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest",` +
				`"fieldViolations":[{"field":"limit","description":"want a 32-bit integer, got \"x\""}]}]}`,
		},
		{
			"GET", "/feeds/a?topic=b", "", nil, 400, "",
			`{"code":3,"message":"topic: it is set by the route","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest",` +
				`"fieldViolations":[{"field":"topic","description":"it is set by the route"}]}]}`,
		},
		{"GET", "/feeds/a", "{}", []string{"Content-Type", "application/json"}, 400, "", `{"code":3,"message":"the route takes no body"}`},
		{"GET", "/feeds/a?limit=1&x=" + long, "", nil, 414, "", `{"code":3,"message":"the path and the query are longer than 1024 bytes"}`},
		{"GET", "/feeds/a", "", []string{"X-Long", long}, 413, "", `{"code":3,"message":"the headers are longer than 1024 bytes"}`},
		{"POST", "/feeds/a", `{"topic":"` + long + `"}`, []string{"Content-Type", "application/json"}, 413, "", `{"code":3,"message":"the body is larger than limits.request_bytes allows"}`},
		{
			"POST", "/feeds/a", "topic=a",
			[]string{"Content-Type", "application/x-www-form-urlencoded"},
			415, "",
			`{"code":3,"message":"content-type: want application/json, got \"application/x-www-form-urlencoded\"","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest",` +
				`"fieldViolations":[{"field":"content-type","description":"want application/json, got \"application/x-www-form-urlencoded\""}]}]}`,
		},
		{"GET", "/things/a?kinds.int32_value=7", "", nil, 200, "", `{"name":"a","kinds":{"int32Value":7}}`},
		{"GET", "/safe/a?_ts=1&utm_source=x&utm_campaign=50%25", "", nil, 200, "", `{"name":"a"}`},
		{
			"GET", "/safe/a?key=1", "", nil, 400, "",
			`{"code":3,"message":"key: unknown field (for the operator: the route's request.ignore lists names to ignore)","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest",` +
				`"fieldViolations":[{"field":"key","description":"unknown field (for the operator: the route's request.ignore lists names to ignore)"}]}]}`,
		},
		{"POST", "/safe/a", "", nil, 405, "GET, HEAD, OPTIONS", `{"code":12,"message":"the path does not take the method POST"}`},
		{"GET", "/safe/a?kinds.choiceNested&kinds.empty={}", "", nil, 200, "", `{"name":"a","kinds":{"empty":{},"choiceNested":{}}}`},
		{
			"GET", `/safe/a?kinds.nestedList={"name":"x"}&kinds.nestedList=[{},{"tags":["y"]}]`, "", nil, 200, "",
			`{"name":"a","kinds":{"nestedList":[{"name":"x"},{},{"tags":["y"]}]}}`,
		},
		{
			"GET", "/constant/a", "",
			[]string{"X-Filter", `{"name":"h"}`},
			200, "",
			`{"name":"a","kinds":{"nested":{"name":"h"},"nestedList":[{"name":"a","number":1},{}],"struct":{"a":[1,null]},"choiceNested":{}}}`,
		},
		{"GET", "/things/a%2Fb", "", nil, 200, "", `{"name":"a/b"}`},
		{"GET", "/things/a", "", []string{"Last-Event-ID", "garbage"}, 200, "", `{"name":"a"}`},
		{"GET", "/things/a?last_event_id=" + sse.FinalID(""), "", nil, 200, "", `{"name":"a"}`},
		{"POST", "/things/a", `{"kinds":{"bytesValue":"AAE="}}`, []string{"Content-Type", "application/json; charset=UTF-8"}, 200, "", `{"name":"a","kinds":{"bytesValue":"AAE="}}`},
		{"POST", "/things/a", "", nil, 200, "", `{"name":"a"}`},
		{"POST", "/put/a", "", nil, 200, "", `{"name":"a"}`},
		// A page of another site can send these without a CORS preflight, so they must not run the RPC.
		{"POST", "/put/a", "", []string{"Content-Type", ""}, 415, "", wantJSON("")},
		{"POST", "/put/a", "", []string{"Content-Type", "text/plain"}, 415, "", wantJSON("text/plain")},
		{"POST", "/feeds/a", "", []string{"Content-Type", "text/plain"}, 415, "", wantJSON("text/plain")},
		{"POST", "/put/a", "{}", []string{"Content-Type", "application/json"}, 400, "", `{"code":3,"message":"the route takes no body"}`},
	} {
		t.Run(test.method+" "+test.path[:min(len(test.path), 40)]+" "+test.body[:min(len(test.body), 20)], func(t *testing.T) {
			inWorld(t, fewRoutes, func(t *testing.T, w *world) {
				got := w.do(test.method, test.path, test.body, test.headers...)
				if got.Status != test.status || got.Header.Get("Allow") != test.allow {
					t.Errorf("got %d and Allow %q, want %d and %q", got.Status, got.Header.Get("Allow"), test.status, test.allow)
				}
				if !sameJSON(t, got.Body, test.want) {
					t.Errorf("got  %s\nwant %s", got.Body, test.want)
				}
				if test.want != "" && (got.Header.Get("Content-Type") != "application/json" || got.Header.Get("Cache-Control") != "no-store") {
					t.Errorf("the head is %v", got.Header)
				}
				w.noRPC()
			})
		})
	}
}

// wantJSON is the answer to a POST of another content type.
func wantJSON(got string) string {
	message := fmt.Sprintf(`want application/json, got \"%s\"`, got)
	return `{"code":3,"message":"content-type: ` + message + `","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest",` +
		`"fieldViolations":[{"field":"content-type","description":"` + message + `"}]}]}`
}

// sameJSON compares two documents regardless of the order of their keys.
func sameJSON(t *testing.T, got, want string) bool {
	t.Helper()
	if want == "" || got == "" {
		return got == want
	}
	return canonicalJSON(t, got) == canonicalJSON(t, want)
}

// It opens nothing, whatever its id.
func TestHEADHasTheHeadOfAGET(t *testing.T) {
	inWorld(t, fewRoutes, func(t *testing.T, w *world) {
		stream := w.do(http.MethodHead, "/feeds/a", "", "Last-Event-ID", sse.FinalID("x"))
		if stream.Header.Get("Content-Type") != "text/event-stream" || stream.Header.Get("Cache-Control") != "no-cache, no-store, no-transform" {
			t.Errorf("the head is %v", stream.Header)
		}
		if unary := w.do(http.MethodHead, "/things/a", ""); unary.Header.Get("Content-Type") != "application/json" {
			t.Errorf("the head is %v", unary.Header)
		}
		w.noRPC()
	})
}

// The body has the same bytes. The log names, once, how to use HTTP/1.1.
func TestHTTP10IsServedUntilTheConnectionCloses(t *testing.T) {
	inWorld(t, feedRoute("event: {id: seq}"), func(t *testing.T, w *world) {
		var bodies []string
		for range 3 {
			conn, err := w.front.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, "GET /feed HTTP/1.0\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			rpc := w.rpc()
			rpc.count(1, 2)
			rpc.end(nil)
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(response.TransferEncoding) > 0 || response.ContentLength >= 0 || !response.Close {
				t.Errorf("the head is %+v", response)
			}
			body, err := io.ReadAll(response.Body)
			if err := errors.Join(err, response.Body.Close()); err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, canonical(string(body)))
			_ = conn.Close()
		}
		want := opened("~EPOCH-0") + "id: 1\ndata: {\"seq\":\"1\"}\n\nid: 2\ndata: {\"seq\":\"2\"}\n\n" + lastBlock("2~end")
		for _, body := range bodies {
			if body != want {
				t.Errorf("the body is\n%s\nwant\n%s", body, want)
			}
		}
		if said := strings.Count(w.Logged.String(), "proxy_http_version 1.1"); said != 1 {
			t.Errorf("the line is logged %d times", said)
		}
	})
}

// Hardening: it takes neither a topic nor an RPC.
func TestAnEndlessBodyIsCut(t *testing.T) {
	inWorld(t, fewRoutes, func(t *testing.T, w *world) {
		conn, err := w.front.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		head := "POST /feeds/a HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
		if _, err := io.WriteString(conn, head); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusRequestTimeout || !response.Close || time.Since(began) != 10*time.Second {
			t.Errorf("answered %d after %v, close: %v", response.StatusCode, time.Since(began), response.Close)
		}
		w.noRPC()
	})
	for _, line := range []string{
		"POST /nothing", "PUT /feeds/a", "OPTIONS /feeds/a", "GET /feeds/a", "POST /feeds/a?x=" + strings.Repeat("x", 2000), "GET /feeds/a?last_event_id=~end",
	} {
		t.Run(line[:min(len(line), 30)], func(t *testing.T) {
			inWorld(t, fewRoutes, func(t *testing.T, w *world) {
				conn, err := w.front.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				if _, err := io.WriteString(conn, line+" HTTP/1.1\r\nHost: bridge\r\nContent-Length: 100\r\n\r\n{"); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				if _, err := io.Copy(io.Discard, conn); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > 11*time.Second {
					t.Errorf("the connection was closed after %v", took)
				}
			})
		})
	}
}

// Its deadline does not affect the stream.
func TestABodyWithinItsTimeIsServed(t *testing.T) {
	inWorld(t, fewRoutes, func(t *testing.T, w *world) {
		body, writer := io.Pipe()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://bridge/feeds/a", body)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		go func() {
			time.Sleep(9 * time.Second)
			_, _ = io.WriteString(writer, `{"limit":7}`)
			_ = writer.Close()
		}()
		go func() {
			rpc := w.rpc()
			if rpc.Request.GetLimit() != 7 {
				t.Errorf("the request is %v", rpc.Request)
			}
			time.Sleep(time.Hour) // far beyond the deadline of the body
			rpc.send(&testv1.FeedEvent{Seq: 1})
			rpc.end(nil)
		}()
		response, err := w.http1.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(canonical(string(text)), "data: {\"seq\":\"1\"}\n\n"+lastBlock("EPOCH-1~end")) {
			t.Errorf("got %s", text)
		}
	})
}

func TestManyStreamsShareAnH2CConnection(t *testing.T) {
	onBoth(t, "methods: [GET, POST]", func(t *testing.T, w *world) {
		get := w.listen("/feed", ssetest.Options{H2C: true})
		rpc := w.rpc()
		rpc.count(1, 2)
		expect(t, get, "open 1 2")
		post := w.listen("/feed", ssetest.Options{H2C: true, Method: http.MethodPost, Body: "{}", LastEventID: get.Snapshot().Events[1].ID})
		expect(t, post, "open 2")
		get.CutNext(50)
		get.Reconnect()
		rpc.count(3, 3)
		_ = get.AwaitEnd()
		get.Reconnect()
		expect(t, post, "open 2 3")
		rpc.end(status.Error(codes.NotFound, "closed"))
		endedWell(t, get)
		endedWell(t, post)
		keepsThePromise(t, get.Snapshot(), true, 3)
		w.noRPC()
	})
}

func TestUnaryAnswers(t *testing.T) {
	inWorld(t, fewRoutes, func(t *testing.T, w *world) {
		w.Stage.get = func(_ context.Context, request *testv1.GetRequest) (*testv1.GetResponse, error) {
			switch request.GetName() {
			case "large":
				return &testv1.GetResponse{Name: strings.Repeat("x", 2000)}, nil
			case "huge":
				return &testv1.GetResponse{Name: strings.Repeat("x", 5000)}, nil
			default:
				return &testv1.GetResponse{Kinds: &testv1.Kinds{Any: &anypb.Any{TypeUrl: "type.example/nobody.knows.This"}}}, nil
			}
		}
		for name, want := range map[string]int{"large": 429, "huge": 429, "unknown": 500} {
			if got := w.do(http.MethodGet, "/things/"+name, ""); got.Status != want || strings.Contains(got.Body, "xxx") || strings.Contains(got.Body, "nobody") {
				t.Errorf("%s is answered %d %s", name, got.Status, got.Body)
			}
		}

		w.Stage.put = func(ctx context.Context, _ *testv1.PutRequest) (*testv1.PutResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		began := time.Now()
		if got := w.do(http.MethodPost, "/things/a", ""); got.Status != http.StatusGatewayTimeout || time.Since(began) != 5*time.Second {
			t.Errorf("answered %d after %v, want 504 after the route's timeout", got.Status, time.Since(began))
		}
	})
}

func TestAUnaryCallEndsWithItsClient(t *testing.T) {
	inWorld(t, fewRoutes, func(t *testing.T, w *world) {
		began, ended := make(chan struct{}), make(chan struct{})
		w.Stage.put = func(ctx context.Context, _ *testv1.PutRequest) (*testv1.PutResponse, error) {
			close(began)
			<-ctx.Done()
			close(ended)
			return nil, ctx.Err()
		}
		ctx, cancel := context.WithCancel(t.Context())
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://bridge/things/a", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		go func() {
			if response, err := w.http1.RoundTrip(request); err == nil {
				_ = response.Body.Close()
			}
		}()
		<-began
		cancel()
		synctest.Wait()
		select {
		case <-ended:
		default:
			t.Error("the call outlived its client")
		}
	})
}

// No stream begins, because it could not be sent.
func TestAMiddlewareThatHidesFlushIsLogged(t *testing.T) {
	inWorld(t, feedRoute("retry: 3s"), func(t *testing.T, w *world) {
		type onlyWriter struct{ http.ResponseWriter }
		code, text := probe(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			w.Bridge.ServeHTTP(struct{ http.ResponseWriter }{onlyWriter{rw}.ResponseWriter}, r)
		}), "/feed")
		synctest.Wait() // until the line is written
		if code != http.StatusInternalServerError || strings.Contains(text, "Unwrap") || !strings.Contains(w.Logged.String(), "Unwrap") {
			t.Errorf("answered %d %s, logged %s", code, text, w.Logged)
		}
	})
}

// A middleware may hide the server's deadlines, so that its WriteTimeout cuts each stream. The log
// names the correction.
func TestAWriteTimeoutThatCannotBeLiftedIsLogged(t *testing.T) {
	back := backend(t)
	for name, test := range map[string]struct {
		timeout time.Duration
		hides   bool
		want    int
	}{
		"hidden":             {time.Minute, true, 1},
		"not hidden":         {time.Minute, false, 0},
		"without a time-out": {0, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, back.Target(), "  - {path: /feed, rpc: "+watch+", upstream: app, open_grace: 0s}")
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if test.hides {
					w = onlyFlushes{w, w.(http.Flusher)} //nolint:errcheck // net/http's own
				}
				g.Bridge.ServeHTTP(w, r)
			}))
			server.Config.WriteTimeout = test.timeout
			server.Start()
			defer server.Close()
			for range 2 {
				c := ssetest.Connect(t, server.URL+"/feed", ssetest.Options{})
				c.AwaitEvents(1)
				c.Close()
			}
			if err := g.Bridge.Close(); err != nil { // writes the lines in the queue
				t.Error(err)
			}
			if got := strings.Count(g.Log.String(), "WriteTimeout cuts each stream"); got != test.want {
				t.Errorf("logged %d times, want %d", got, test.want)
			}
		})
	}
}

// onlyFlushes is a ResponseWriter as some middlewares wrap it.
type onlyFlushes struct {
	http.ResponseWriter
	http.Flusher
}
