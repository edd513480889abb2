package bridge_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// The field has the schema's spelling. The line has no text of the client.
func TestTheAccessLineOfARefusedRequestNamesCodeAndField(t *testing.T) {
	log, seen := &logs{}, 0
	inWorldWith(t, fewRoutes, withAccess(log, bridge.AccessAll), func(t *testing.T, w *world) {
		for _, test := range []struct {
			method, path, body string
			headers            []string
			code               string
			field              any
		}{
			{"GET", "/feeds/a?limit=secret", "", nil, "INVALID_ARGUMENT", "limit"},
			{"GET", "/feeds/a?secret", "", nil, "INVALID_ARGUMENT", "(unknown)"},
			{"GET", "/feeds/a?%0a%22secret=1", "", nil, "INVALID_ARGUMENT", "(unknown)"},
			{"GET", "/feeds/a?%secret=1", "", nil, "INVALID_ARGUMENT", nil},
			{"HEAD", "/feeds/a?limit=secret", "", nil, "INVALID_ARGUMENT", "limit"},
			{"GET", "/things/a?" + strings.Repeat("secret", 100) + "=1", "", nil, "INVALID_ARGUMENT", "(unknown)"},
			{"GET", "/things/a?kinds.secret=1", "", nil, "INVALID_ARGUMENT", "kinds.(unknown)"},
			{"GET", "/things/a?kinds.int32Value=secret", "", nil, "INVALID_ARGUMENT", "kinds.int32_value"},
			{"GET", "/things/a?kinds.int64_string_map[secret]=1", "", nil, "INVALID_ARGUMENT", "kinds.int64_string_map"},
			{"POST", "/things/a", `{"kinds":{"nestedList":[{"secret":1}]}}`, nil, "INVALID_ARGUMENT", "kinds.nested_list"},
			{"POST", "/things/a", `{"secret`, nil, "INVALID_ARGUMENT", nil},
			{"POST", "/put/a", "", []string{"Content-Type", "text/secret"}, "INVALID_ARGUMENT", "content-type"},
			{"GET", "/constant/a", "", []string{"X-Filter", "secret"}, "INVALID_ARGUMENT", "x-filter"},
			{"GET", "/nothing?secret", "", nil, "NOT_FOUND", nil},
			{"PUT", "/feeds/a?secret", "", nil, "UNIMPLEMENTED", nil},
		} {
			got := w.do(test.method, test.path, test.body, test.headers...)
			if got.Status < http.StatusBadRequest {
				t.Errorf("%s %s is answered %d", test.method, test.path, got.Status)
			}
			line := one(t, w, log, &seen)
			line.has(t, entry{"msg": "request", "status": float64(got.Status), "by": "bridge", "code": test.code, "field": test.field, "error": nil})
		}
		w.do(http.MethodGet, "/things/a", "")
		one(t, w, log, &seen).has(t, entry{"status": 200.0, "by": nil, "code": nil, "field": nil, "error": nil})
		if strings.Contains(log.String(), "secret") {
			t.Errorf("what a client has made up reached the log:\n%s", log)
		}
	})
}

func TestTheAccessLineOfABackendsRefusalHasOnlyItsCode(t *testing.T) {
	for name, code := range map[string]codes.Code{"PERMISSION_DENIED": codes.PermissionDenied, "OUT_OF_RANGE": codes.OutOfRange, "4711": 4711} {
		t.Run(name, func(t *testing.T) {
			log, seen := &logs{}, 0
			inWorldWith(t, feedRoute("open_grace: 1m"), withAccess(log, bridge.AccessAll), func(t *testing.T, w *world) {
				w.Stage.watch = numbers(0, status.Error(code, "secret"))
				got := w.do(http.MethodGet, "/feed", "")
				one(t, w, log, &seen).has(t, entry{
					"msg": "request", "status": float64(got.Status), "by": "backend", "code": name, "field": nil, "error": nil,
				})
				if strings.Contains(log.String(), "secret") {
					t.Errorf("the backend's words reached the log:\n%s", log)
				}
			})
		})
	}
}

// A limit and a drain differ from an unavailable backend.
func TestAccessLinesDistinguishReasonsToReconnect(t *testing.T) {
	log, seen := &logs{}, 0
	inWorldWith(t, "drain: {delay: 5s, grace: 0s}\n"+limited("clients: 1", ""), withAccess(log, bridge.AccessEnds), func(t *testing.T, w *world) {
		w.listen("/feed", ssetest.Options{})
		wantShedStatus(t, w.do(http.MethodGet, "/feed", "", "Prefer", "status"))
		one(t, w, log, &seen).has(t, entry{"status": 503.0, "by": "bridge", "code": "UNAVAILABLE", "error": "come back later: shed"})
		ended := make(chan error, 1)
		go func() { ended <- w.Bridge.Drain(t.Context()) }()
		synctest.Wait()
		w.do(http.MethodGet, "/feed", "", "Prefer", "drain=status")
		one(t, w, log, &seen).has(t, entry{"status": 503.0, "by": "bridge", "code": "UNAVAILABLE", "error": "the bridge drains; ask another one"})
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// The status is not the backend's.
func TestTheAccessLineOfAnUnreachableBackendBlamesTheBridge(t *testing.T) {
	log := &logs{}
	options := bridge.Options{}
	withAccess(log, bridge.AccessEnds)(&options)
	g := startWith(t, parse(t, "upstreams: {app: {target: '127.0.0.1:1', open_timeout: 50ms}}\ndrain: {delay: 0s, grace: 0s}\n"+feedRoute("")), options)
	if got := do(t, http.MethodGet, g.URL+"/feed", "", "Prefer", "status"); got.Status != http.StatusServiceUnavailable {
		t.Errorf("answered %d", got.Status)
	}
	eventually(t, "the line", func() bool { return len(entries(t, log.String())) == 1 })
	entries(t, log.String())[0].has(t, entry{"by": "bridge", "code": "UNAVAILABLE"})
}
