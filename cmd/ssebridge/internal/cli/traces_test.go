package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// collector takes spans by OTLP over HTTP and keeps their names.
type collector struct {
	mu      sync.Mutex
	names   []string
	service string
}

func (c *collector) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var request collectorv1.ExportTraceServiceRequest
	body, err := io.ReadAll(r.Body)
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &request) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		for _, attr := range resource.GetResource().GetAttributes() {
			if attr.GetKey() == "service.name" {
				c.service = attr.GetValue().GetStringValue()
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				c.names = append(c.names, span.GetName())
			}
		}
	}
}

// got is what has come so far.
func (c *collector) got() (service, names string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.service, strings.Join(c.names, " | ")
}

// A collector hears of each stream, also of those that the end of the command ends.
func TestServeSendsTracesWhereTheEnvironmentSays(t *testing.T) {
	for name, tc := range map[string]struct {
		environment map[string]string
		service     string
		sent        bool
	}{
		"an endpoint": {nil, "ssebridge", true},
		"named":       {map[string]string{"OTEL_SERVICE_NAME": "edge"}, "edge", true},
		"disabled":    {map[string]string{"OTEL_SDK_DISABLED": "TRUE"}, "", false},
		"none":        {map[string]string{"OTEL_TRACES_EXPORTER": "none"}, "", false},
		"no sample":   {map[string]string{"OTEL_TRACES_SAMPLER": "always_off"}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			var seen collector
			server := httptest.NewServer(&seen)
			defer server.Close()
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
			for key, value := range tc.environment {
				t.Setenv(key, value)
			}
			r, public, _ := startServe(t)
			client := ssetest.Connect(t, public+"/clock", ssetest.Options{})
			client.AwaitMessages(1)
			if code := r.end(); code != ExitOK {
				t.Fatalf("exit %d\n%s", code, r.stderr)
			}
			service, names := seen.got()
			for _, want := range []string{"GET /clock", "ssebridge.demo.v1.ClockService/Watch"} {
				if strings.Contains(names, want) != tc.sent || service != tc.service {
					t.Errorf("%s sent the spans %s", service, names)
				}
			}
		})
	}
}

// A collector that is away costs neither streams nor the end.
func TestServeEndsWithoutItsCollector(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	r, public, _ := startServe(t)
	ssetest.Connect(t, public+"/clock", ssetest.Options{}).AwaitMessages(2)
	if code := r.end(); code != ExitOK {
		t.Fatalf("exit %d\n%s", code, r.stderr)
	}
	r.stderr.await(t, "level=WARN", "msg=\"spans cannot be exported", "connection refused")
}

func TestServeRefusesAnEnvironmentThatItDoesNotKnow(t *testing.T) {
	for key, value := range map[string]string{
		"OTEL_TRACES_EXPORTER": "jaeger", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json",
		"OTEL_PROPAGATORS": "b3",
	} {
		t.Run(key, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
			t.Setenv(key, value)
			path := file(t, "ssebridge.yaml", "upstreams: {app: {target: 'localhost:1'}}\nroutes: [{path: /a, rpc: a.B/C, upstream: app}]\n")
			if code, _, stderr := run(t, "serve", "--config", path); code != ExitError || !strings.Contains(stderr, key) {
				t.Errorf("exit %d: %s", code, stderr)
			}
		})
	}
}

// An endpoint that is none is an error, not traces to this machine. It may hold a secret.
func TestServeRefusesAnEndpointThatItCannotRead(t *testing.T) {
	path := file(t, "ssebridge.yaml", "upstreams: {app: {target: 'localhost:1'}}\nroutes: [{path: /a, rpc: a.B/C, upstream: app}]\n")
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		for endpoint, protocol := range map[string]string{
			"127.0.0.1:4318": "", "collector:4318": "http/protobuf", ":::": "", "ftp://u:s3cret@collector": "", "http://": "", "127.0.0.1:4317": "grpc",
		} {
			t.Run(name+" "+protocol+" "+endpoint, func(t *testing.T) {
				t.Setenv(name, endpoint)
				t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
				code, _, stderr := run(t, "serve", "--config", path)
				if code != ExitError || !strings.Contains(stderr, name) || !strings.Contains(stderr, "http://collector:431") || strings.Contains(stderr, "s3cret") {
					t.Errorf("exit %d: %s", code, stderr)
				}
			})
		}
	}
}

// The SDK's complaints about its environment are in the log, in the log's form.
func TestServeReportsSettingsThatTheExporterCannotRead(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "ten")
	r, _, _ := startServe(t)
	r.stderr.await(t, "level=ERROR", "parse duration")
	if code := r.end(); code != ExitOK {
		t.Fatalf("exit %d\n%s", code, r.stderr)
	}
}

func TestAccessLogFlag(t *testing.T) {
	if code, _, stderr := run(t, "serve", "--access-log", "some"); code != ExitUsage || !strings.Contains(stderr, "off, end or all") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	r, public, _ := startServe(t)
	client := ssetest.Connect(t, public+"/clock", ssetest.Options{})
	client.AwaitMessages(1)
	r.stderr.await(t, `msg="stream begins"`, "route=/clock", "start=new")
	client.Close()
	r.stderr.await(t, `msg="stream ended"`, "route=/clock", "reason=gone", "client=127.0.0.1")
}

// The log of a server is one JSON object a line, its access lines too.
func TestAccessLinesAsJSON(t *testing.T) {
	r := start(t, "serve", "--log-format", "json", "--access-log", "end", "--config", file(t, "ssebridge.yaml",
		"listen: 127.0.0.1:0\nadmin: ''\nupstreams: {app: {target: '127.0.0.1:1'}}\nroutes: [{path: /a, rpc: a.B/C, upstream: app}]\n"))
	var listening struct {
		Addr string `json:"addr"`
	}
	if err := json.Unmarshal([]byte(r.stderr.await(t, `"msg":"listening"`)), &listening); err != nil {
		t.Fatal(err)
	}
	answer, err := http.Get("http://" + listening.Addr + "/nowhere?token=secret")
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
	line := r.stderr.await(t, `"msg":"request"`, `"status":404`, `"path":"/nowhere"`, `"request_id":"`+answer.Header.Get("X-Request-ID")+`"`)
	if strings.Contains(r.stderr.String(), "secret") || !json.Valid([]byte(line)) {
		t.Error(line)
	}
}
