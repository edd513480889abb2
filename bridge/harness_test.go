package bridge_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const watch = "ssebridge.test.v1.FeedService/Watch"

// gateway is a bridge on a real server, in front of a real backend.
type gateway struct {
	URL    string
	Bridge *bridge.Bridge
	Log    *logs
}

// start serves a configuration with one upstream, app, at the backend's address. routes is the YAML
// under "routes:", indented by two.
func start(t *testing.T, target, routes string) *gateway {
	t.Helper()
	return startWith(t, parse(t, "upstreams:\n  app: {target: '"+target+"'}\ndrain: {delay: 0s, grace: 0s}\nroutes:\n"+routes), bridge.Options{})
}

func startWith(t *testing.T, cfg config.Config, opts bridge.Options) *gateway {
	t.Helper()
	log := &logs{}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	b, err := bridge.New(cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	log.of(b)
	server := httptest.NewUnstartedServer(b)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return &gateway{URL: server.URL, Bridge: b, Log: log}
}

func parse(t testing.TB, text string) config.Config {
	t.Helper()
	file, err := config.Parse("test.yaml", []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return file.Config
}

// backend starts the test backend.
func backend(t *testing.T, opts ...backendtest.Option) *backendtest.Backend {
	t.Helper()
	return backendtest.Start(t, opts...)
}

// reply is a response that was read completely.
type reply struct {
	Status int
	Header http.Header
	Body   string
}

// do sends a request, and reads its answer to the end, for a minute at most. headers are pairs of a name
// and a value.
func do(t *testing.T, method, url, body string, headers ...string) reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	if _, given := request.Header["Content-Type"]; method == http.MethodPost && !given {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(text)}
}

// logs has the lines that bridges log.
type logs struct {
	mu      sync.Mutex
	text    strings.Builder
	bridges []*bridge.Bridge
}

// of makes String wait until the lines of a bridge are written.
func (l *logs) of(b *bridge.Bridge) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bridges = append(l.bridges, b)
}

func (l *logs) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logs) String() string {
	l.mu.Lock()
	bridges := slices.Clone(l.bridges)
	l.mu.Unlock()
	for _, b := range bridges {
		b.FlushLog()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
