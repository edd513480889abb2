package footprint

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ssebridge/ssebridge/deploy/test/internal/bridgetest"
)

// topics is how many there are, each with a client.
const topics = 500

// The most memory of the bridge that a topic and its client may take, in bytes: heap and stacks behind a forced
// collection. The figures are in docs/operations.md.
const (
	mostPrivate    = 28 << 10 // with one event in its log
	mostPrivateTen = 36 << 10 // with ten
	mostShared     = 28 << 10 // with one
)

// Each topic has an RPC of its own, and a client on HTTP/1.1 in clear that is up to date.
func TestMemoryOfATopic(t *testing.T) {
	for _, tc := range []struct {
		name         string
		share        bool
		events, most int
	}{
		{"private topic, 1 event", false, 1, mostPrivate},
		{"private topic, 10", false, 10, mostPrivateTen},
		{"shared topic, 1 event", true, 1, mostShared},
	} {
		t.Run(tc.name, func(t *testing.T) {
			public, admin := bridgetest.FreeAddress(t), bridgetest.FreeAddress(t)
			backend := bridgetest.FreeAddress(t)
			bridgetest.Start(t, bridgetest.Command(), "demo", "backend", "--listen", backend, "--log-level", "warn")
			bridgetest.AwaitAddress(t, backend)
			config := filepath.Join(t.TempDir(), "ssebridge.yaml")
			if err := os.WriteFile(config, fmt.Appendf(nil, `
listen: %s
admin: %s
limits: {opens_per_ip: 0, clients_per_ip: 0}
upstreams: {app: {target: %q, opens: 1000}}
routes:
  - path: /rooms/{room_id}/events
    rpc: ssebridge.demo.v1.ChatService/Subscribe
    upstream: app
    share: %v
    request: {query: true}
    event: {id: seq, name: {oneof: body}}
    resume: {field: after_seq}
  - {path: "/rooms/{room_id}/messages", methods: [POST], rpc: ssebridge.demo.v1.ChatService/Send, upstream: app}
`, public, admin, backend, tc.share), 0o600); err != nil {
				t.Fatal(err)
			}
			bridgetest.Start(t, bridgetest.Command(), "serve", "--pprof", "--access-log", "off", "--log-level", "warn", "--config", config)
			bridgetest.Await(t, "http://"+admin+"/readyz", http.StatusOK)
			for range tc.events {
				say(t, public)
			}
			listen(t, public, 0, tc.events) // memory that is needed once
			before := memory(t, admin)
			for i := range topics {
				listen(t, public, i+1, tc.events)
			}
			each := (memory(t, admin) - before) / topics
			if there := sum(t, metrics(t, admin), "ssebridge_topics"); there != topics+1 {
				t.Fatalf("there are %d topics, want %d", there, topics+1)
			}
			report(t, tc.name, fmt.Sprintf("%.1f KiB", float64(each)/(1<<10)), fmt.Sprintf("%d KiB", tc.most>>10))
			if each > tc.most {
				t.Errorf("%d bytes, want %d at most", each, tc.most)
			}
		})
	}
}

// say says something in the room that all topics are about.
func say(t testing.TB, public string) {
	t.Helper()
	answer, err := http.Post("http://"+public+"/rooms/one/messages", "application/json", strings.NewReader(`{"author":"ann","text":"hello, all of you"}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status, err)
	}
}

// listen opens a stream by a request that no other has, and awaits so many events.
func listen(t testing.TB, public string, number, events int) {
	t.Helper()
	conn, err := net.Dial("tcp", public)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "GET /rooms/one/events?include_history=true&limit=%d HTTP/1.1\r\nHost: x\r\n\r\n", 1000+number); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReaderSize(conn, 512)
	for left := events; left > 0; {
		line, err := reader.ReadString('\n')
		if err != nil {
			t.Fatalf("%d events are missing: %v", left, err)
		}
		if strings.HasPrefix(line, "event: message") {
			left--
		}
	}
}

// memory returns the bridge's heap and stacks behind a collection, in bytes.
func memory(t testing.TB, admin string) int {
	t.Helper()
	for range 2 { // what the first collection finds with finalizers goes with the second
		if status, _, err := bridgetest.Status(t.Context(), "http://"+admin+"/debug/pprof/heap?gc=1"); err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
	}
	text := metrics(t, admin)
	return sum(t, text, "go_memstats_heap_alloc_bytes") + sum(t, text, "go_memstats_stack_inuse_bytes")
}

func metrics(t testing.TB, admin string) string {
	t.Helper()
	status, text, err := bridgetest.Status(t.Context(), "http://"+admin+"/metrics")
	if err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	return text
}

// sum adds up all series of a metric.
func sum(t testing.TB, text, name string) (total int) {
	t.Helper()
	series := regexp.MustCompile(`(?m)^`+name+`(?:\{.*\})? (\S+)$`).FindAllStringSubmatch(text, -1)
	if len(series) == 0 {
		t.Fatalf("no %s", name)
	}
	for _, s := range series {
		value, err := strconv.ParseFloat(s[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		total += int(value)
	}
	return total
}
