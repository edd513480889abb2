package proxy

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ssebridge/ssebridge/deploy/test/internal/bridgetest"
)

// Each proxy whose stock cap is below limits.clients has a higher one in its file, or says in the file what to write into its main
// one. Two bridges have twice as many clients, and nginx counts two connections for each of one bridge. docs/proxies.md has the
// same numbers.
func TestFilesHaveRoomForTheDefaultClients(t *testing.T) {
	clients := written(t, "examples/ssebridge.yaml", `(?m)^  clients: (\d+) +# default`)
	page := bridgetest.Read(t, "docs/proxies.md")
	for _, limit := range []struct{ file, pattern, row string }{
		{"nginx.conf", `events \{ worker_connections (\d+); \}`, "| nginx, `worker_connections` |"},
		{"nginx.conf", `worker_rlimit_nofile (\d+)`, "| nginx, descriptors |"},
		{"haproxy.cfg", `(?m)^    maxconn (\d+)$`, "| HAProxy, `maxconn` |"},
		{"envoy.yaml", `max_connections: (\d+)`, "| Envoy, `circuit_breakers` |"},
		{"envoy.yaml", `max_pending_requests: (\d+)`, "| Envoy, `circuit_breakers` |"},
		{"envoy.yaml", `max_requests: (\d+)`, "| Envoy, `circuit_breakers` |"},
	} {
		got := written(t, "deploy/proxy/"+limit.file, limit.pattern)
		if got < 2*clients {
			t.Errorf("%s: %s is %d, want %d at least", limit.file, limit.pattern, got, 2*clients)
		}
		_, row, _ := strings.Cut(page, limit.row)
		row, _, _ = strings.Cut(row, "\n")
		if short := fmt.Sprintf("%d,%03d", got/1000, got%1000); !strings.Contains(row, short) && !strings.Contains(row, strconv.Itoa(got)) {
			t.Errorf("%s has %s, and the row of docs/proxies.md is %q", limit.file, short, row)
		}
	}
}

// written is the number that a file has where the pattern matches.
func written(t testing.TB, file, pattern string) int {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(bridgetest.Read(t, file))
	if found == nil {
		t.Fatalf("%s has no %s", file, pattern)
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
