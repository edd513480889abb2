package footprint

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/deploy/test/internal/bridgetest"
)

// starts is how often the bridge is started to see how long that takes.
var starts = flag.Int("starts", 0, "measure the time to readiness by so many starts, and hold it")

// The most that a sidecar may take.
const (
	mostSize     = 30_000_000 // bytes of the stripped binary
	mostResident = 25 << 20   // bytes
	mostReady    = 100 * time.Millisecond
)

const configuration = `
listen: %s
admin: %s
upstreams: {app: {target: %q}}
routes:
  - {path: /clock, rpc: ssebridge.demo.v1.ClockService/Watch, upstream: app, share: true}
  - path: /rooms/{room_id}/events
    rpc: ssebridge.demo.v1.ChatService/Subscribe
    upstream: app
    share: true
    event: {id: seq, name: {oneof: body}}
    resume: {field: after_seq}
  - {path: "/rooms/{room_id}/messages", methods: [POST], rpc: ssebridge.demo.v1.ChatService/Send, upstream: app}
`

func TestMain(m *testing.M) { bridgetest.Main(m) }

func TestBinarySize(t *testing.T) {
	info, err := os.Stat(bridgetest.Command())
	if err != nil {
		t.Fatal(err)
	}
	report(t, "stripped binary", fmt.Sprintf("%.1f MB", float64(info.Size())/1e6), fmt.Sprintf("%d MB", mostSize/1_000_000))
	if info.Size() > mostSize {
		t.Errorf("the binary has %d bytes, want %d at most", info.Size(), mostSize)
	}
}

// The bridge is idle: it has read the schema, and has no clients.
func TestResidentMemory(t *testing.T) {
	config, admin := place(t)
	p := bridgetest.Start(t, bridgetest.Command(), "serve", "--config", config)
	bridgetest.Await(t, admin+"/readyz", http.StatusOK)
	var most int64
	for range 100 { // probes come and go
		bridgetest.Await(t, admin+"/healthz", http.StatusOK)
		most = max(most, resident(t, p.PID()))
	}
	report(t, "resident, idle", fmt.Sprintf("%.1f MiB", float64(most)/(1<<20)), fmt.Sprintf("%d MiB", mostResident>>20))
	if most > mostResident {
		t.Errorf("%d bytes are resident, want %d at most", most, mostResident)
	}
}

// From exec to the first 200 of /readyz, with an upstream that is there.
func TestReady(t *testing.T) {
	config, admin := place(t)
	var took []time.Duration
	for range max(1, *starts) {
		began := time.Now()
		p := bridgetest.Start(t, bridgetest.Command(), "serve", "--config", config)
		ready(t, admin+"/readyz")
		took = append(took, time.Since(began))
		p.Kill(t)
	}
	slices.Sort(took)
	median := took[len(took)/2]
	if *starts == 0 {
		return // it gets ready; how fast is another matter while other tests run
	}
	report(t, "exec to ready", fmt.Sprintf("%.1f ms (median of %d, %.1f to %.1f)", milliseconds(median), len(took),
		milliseconds(took[0]), milliseconds(took[len(took)-1])), fmt.Sprintf("%.0f ms", milliseconds(mostReady)))
	if median > mostReady {
		t.Errorf("ready after %v, want %v at most", median, mostReady)
	}
}

// report prints a line of the table that make footprint shows.
func report(t testing.TB, what, measured, most string) {
	t.Helper()
	t.Logf("%-16s %-48s at most %s", what, measured, most)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// place starts a backend, and writes the configuration of a bridge to it.
func place(t testing.TB) (config, admin string) {
	t.Helper()
	backend, listen, admin := bridgetest.FreeAddress(t), bridgetest.FreeAddress(t), bridgetest.FreeAddress(t)
	bridgetest.Start(t, bridgetest.Command(), "demo", "backend", "--listen", backend)
	bridgetest.AwaitAddress(t, backend)
	config = filepath.Join(t.TempDir(), "ssebridge.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, configuration, listen, admin, backend), 0o600); err != nil {
		t.Fatal(err)
	}
	return config, "http://" + admin
}

// ready asks every half millisecond: bridgetest.Until looks too seldom for what is measured here.
func ready(t testing.TB, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bridgetest.Patience)
	defer cancel()
	again := time.NewTicker(500 * time.Microsecond)
	defer again.Stop()
	for {
		status, body, err := bridgetest.Status(ctx, url)
		if err == nil && status == http.StatusOK {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("%s: %d %s (%v)", url, status, body, err)
		}
	}
}

// resident is VmRSS of a process, in bytes.
func resident(t testing.TB, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == "VmRSS:" {
			kilobytes, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	t.Fatalf("no VmRSS in\n%s", status)
	return 0
}
