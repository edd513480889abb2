package bridge_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// foreignRoutes hide a lost RPC, answer a failure with a status however late it is, ask clients to
// reconnect, and call a unary method.
const foreignRoutes = `drain: {delay: 0s, grace: 0s}
routes:
  - {path: /hidden, rpc: ssebridge.test.v1.FeedService/Watch, upstream: app, replay: {linger: 0s}, reconnect: {initial: 1ms, max: 10ms}}
  - {path: /asked, rpc: ssebridge.test.v1.FeedService/Watch, upstream: app, open_grace: 1m, replay: {linger: 0s}, reconnect: {initial: 1ms, max: 10ms}}
  - {path: /shared, rpc: ssebridge.test.v1.FeedService/Watch, upstream: app, share: true, replay: {linger: 0s}, reconnect: {initial: 1ms, max: 10ms}}
  - {path: /retried, rpc: ssebridge.test.v1.FeedService/Watch, upstream: app, replay: {linger: 0s}, reconnect: {initial: 1ms, max: 10ms, codes: []}}
  - {path: /get, rpc: ssebridge.test.v1.FeedService/Get, upstream: app}
`

// An intermediary between the bridge and the backend answers in the backend's place for a while. No
// EventSource stops for that, and no page is sent a byte of the intermediary's text.
func TestAForeignAnswerEndsNoStream(t *testing.T) {
	for _, transport := range []string{"clear", "TLS"} {
		t.Run(transport, func(t *testing.T) {
			back := backend(t)
			var authority *backendtest.Authority
			tls := ""
			if transport == "TLS" {
				authority = backendtest.NewAuthority(t)
				tls = ", tls: {ca: '" + authority.CAFile + "'}"
			}
			m := backendtest.StartIntermediary(t, back, authority)
			g := startWith(t, parse(t, "upstreams: {app: {target: '"+m.Addr()+"'"+tls+"}}\n"+foreignRoutes), bridge.Options{})
			for _, foreign := range backendtest.ForeignAnswers() {
				t.Run(foreign.Name, func(t *testing.T) { playForeign(t, g, back, m, foreign.Answer) })
			}
			awaitLogged(t, g.Log, "4711")
		})
	}
}

func playForeign(t *testing.T, g *gateway, back *backendtest.Backend, m *backendtest.Intermediary, answer http.HandlerFunc) {
	t.Helper()
	listen := func(path string) *ssetest.Client { return ssetest.Connect(t, g.URL+path, ssetest.Options{}) }
	hidden, shared, retried := listen("/hidden"), listen("/shared"), listen("/retried")
	back.AwaitRunning(3)
	asked := m.Asked()
	m.Answer(answer)
	back.Feed.End(status.Error(codes.Unavailable, "restarting")) // each RPC is reopened
	back.AwaitRunning(0)
	back.Feed.Reopen()

	newHidden, newShared := listen("/hidden"), listen("/shared")
	for range 8 { // more often than an internal error is retried
		_ = retried.AwaitEnd()
		retried.Reconnect()
	}
	m.AwaitAsked(t, asked+24)
	for _, prefer := range []string{"", "status"} {
		got := do(t, http.MethodGet, g.URL+"/get", "", "Prefer", prefer)
		checkIncident(t, g, got)
	}
	checkIncident(t, g, do(t, http.MethodGet, g.URL+"/asked", "", "Prefer", "status"))

	_ = retried.AwaitEnd()
	m.Answer(nil)
	retried.Reconnect()
	for _, c := range []*ssetest.Client{hidden, shared, newHidden, newShared} {
		if c.AwaitStatus() != http.StatusOK {
			t.Errorf("a client was refused: %s", c.Snapshot())
		}
	}
	back.AwaitRunning(4)
	back.Feed.Publish(&testv1.FeedEvent{Kind: "after"})
	for _, c := range []*ssetest.Client{hidden, shared, retried, newHidden, newShared} {
		c.AwaitMessages(1)
		if c != retried && c.Snapshot().Connections != 1 {
			t.Errorf("a client had to reconnect: %s", c.Snapshot())
		}
		checkNoForeignWord(t, transcript(c.Snapshot()))
		c.Close()
	}
	back.AwaitRunning(0)
}

// checkIncident checks that a call failed with a status that names its incident.
func checkIncident(t *testing.T, g *gateway, got reply) {
	t.Helper()
	checkNoForeignWord(t, got.Body)
	id := regexp.MustCompile(`incident ([A-Z2-7]{12})`).FindStringSubmatch(got.Body)
	if got.Status != http.StatusServiceUnavailable || !strings.Contains(got.Body, `"code":14`) || id == nil {
		t.Errorf("got %d %s", got.Status, got.Body)
		return
	}
	awaitLogged(t, g.Log, "incident="+id[1])
}

func checkNoForeignWord(t *testing.T, text string) {
	t.Helper()
	for _, word := range []string{"html", "4711", "login.example", "stream-error", "unexpected HTTP", "RST_STREAM"} {
		if strings.Contains(text, word) {
			t.Errorf("a client was sent %q in %s", word, text)
		}
	}
}

// awaitLogged waits for a text in the log, which another goroutine writes.
func awaitLogged(t *testing.T, log *logs, text string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(log.String(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not have %q: %s", text, log)
		}
	}
}
