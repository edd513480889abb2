package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

var (
	stalledFor     = flag.Duration("stalled", 2*time.Second, "how long TestStalledLog has clients connect, backends restart and routes change, at least")
	stalledClients = flag.Int("stalled-clients", 100, "how many clients stay connected meanwhile, and how many come and go in each round")
)

const (
	// excess is how much longer something may take with a log that nobody reads: what a busy machine adds. A write that
	// blocks lasts until the test ends.
	excess = 8 * time.Second
	// lastWords is how long the command waits at its exit for its last lines, and a second for the machine.
	lastWords = time.Second + time.Second
	// The drain of the bridge under test.
	stalledDelay, stalledGrace = 200 * time.Millisecond, 2 * time.Second
)

// figures are what one bridge took, at worst.
type figures struct {
	rounds           int
	connects, events int
	connect          time.Duration // of all clients, to the first event of each
	reconnect        time.Duration // from the backend's start until all clients have an event of it
	reload           time.Duration // from the change of the file until the new route is served
	told, exit       time.Duration // from SIGTERM until all clients were asked to reconnect, and until the end
	lost             int           // lines that are counted
}

func (f *figures) String() string {
	return fmt.Sprintf("%d rounds, %d connects, %d events; at worst: connect %v, reconnect %v, reload %v; drained %v, ended %v after SIGTERM; %d lines lost",
		f.rounds, f.connects, f.events, f.connect.Round(time.Millisecond), f.reconnect.Round(time.Millisecond), f.reload.Round(time.Millisecond),
		f.told.Round(time.Millisecond), f.exit.Round(time.Millisecond), f.lost)
}

// TestStalledLog has two bridges do the same work, one with a log that is read and one whose log nobody reads: clients
// connect and leave, the backend is killed and started, routes come and go, and in the end SIGTERM finds all of its clients. Nothing may
// take longer. At full size, in a minute and a half:
//
//	go test ./cmd/ssebridge -run TestStalledLog -stalled 60s -stalled-clients 1000 -v
func TestStalledLog(t *testing.T) {
	read, writer := pipe(t)
	go func() { _, _ = io.Copy(io.Discard, read) }() // until the pipe is closed
	good := stress(t, writer, min(*stalledFor, 10*time.Second))
	t.Logf("a log that is read: %v", good)
	bad := stress(t, stalledPipe(t), *stalledFor)
	t.Logf("a log that nobody reads: %v", bad)

	for name, took := range map[string][2]time.Duration{
		"a connect": {bad.connect, good.connect}, "a reconnect": {bad.reconnect, good.reconnect},
		"a reload": {bad.reload, good.reload}, "the drain": {bad.told, good.told},
	} {
		if took[0] > took[1]+excess {
			t.Errorf("%s took %v, and %v with a log that is read", name, took[0], took[1])
		}
	}
	if waited, most := bad.exit-bad.told, good.exit-good.told+lastWords; waited > most {
		t.Errorf("the bridge ended %v after its last client was asked to reconnect, which is more than %v", waited, most)
	}
	if good.lost > 0 || bad.lost == 0 {
		t.Errorf("%d lines are counted as lost with a log that is read, and %d with one that nobody reads", good.lost, bad.lost)
	}
}

// stress has a bridge work for that long, and then end.
func stress(t *testing.T, stderr *os.File, atLeast time.Duration) *figures {
	t.Helper()
	f := &figures{}
	backend, public, admin := freeAddress(t), freeAddress(t), freeAddress(t)
	running := process(t, nil, "demo", "backend", "--listen", backend)
	config := filepath.Join(t.TempDir(), "ssebridge.yaml")
	routes := func(paths ...string) {
		var text strings.Builder
		fmt.Fprintf(&text, "listen: %s\nadmin: %s\ndrain: {delay: %v, grace: %v}\nupstreams: {app: {target: %q}}\nroutes:\n", public, admin, stalledDelay, stalledGrace, backend)
		for _, path := range paths {
			fmt.Fprintf(&text, "  - {path: %s, rpc: ssebridge.demo.v1.ClockService/Watch, upstream: app, share: true, reconnect: {max: 500ms}}\n", path)
		}
		if err := os.WriteFile(config, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	routes("/clock")
	bridge := process(t, stderr, "serve", "--config", config)
	until(t, "the bridge is ready", func() bool { return status("http://"+admin+"/readyz") == http.StatusOK })

	began := time.Now()
	stay := f.connectAll(t, "http://"+public+"/clock")
	for ; f.rounds == 0 || time.Since(began) < atLeast; f.rounds++ {
		for _, c := range f.connectAll(t, "http://"+public+"/clock") {
			c.Close()
		}
		for range moreThanRoom { // a line each
			if got := status("http://" + public + "/nowhere"); got != http.StatusNotFound {
				t.Fatalf("a request is answered %d", got)
			}
			if time.Since(began) > atLeast && f.rounds > 0 {
				break
			}
		}

		running.kill(t)
		running = process(t, nil, "demo", "backend", "--listen", backend)
		started := time.Now()
		for _, c := range stay {
			c.Await("a message after the gap of the lost RPC", func(s ssetest.Snapshot) bool {
				return s.Gaps > f.rounds && !s.Events[len(s.Events)-1].Control()
			})
		}
		f.reconnect = max(f.reconnect, time.Since(started))

		extra := fmt.Sprintf("/more%d", f.rounds)
		routes("/clock", extra)
		changed := time.Now()
		until(t, "the configuration is reloaded", func() bool { return streams("http://" + public + extra) })
		f.reload = max(f.reload, time.Since(changed))
	}

	for found := range slices.Values(regexp.MustCompile(`(?m)^ssebridge_log_lines_lost_total\{reason="[a-z_]+"\} ([0-9.e+]+)$`).
		FindAllStringSubmatch(body(t, "http://"+admin+"/metrics"), -1)) {
		n, err := strconv.ParseFloat(found[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		f.lost += int(n)
	}
	ending := time.Now()
	bridge.signal(t, syscall.SIGTERM)
	for _, c := range stay {
		_ = c.AwaitEnd() // whichever way; what was said before counts
		seen := c.Snapshot()
		if last := seen.Events[len(seen.Events)-1]; last.Name != "stream-retry" || !strings.Contains(last.Data, "drain") {
			t.Errorf("a client was not asked to reconnect: %s", seen)
		}
		if seen.Connections != 1 || seen.Gaps != f.rounds {
			t.Errorf("a client had %d connections and heard of %d gaps, after %d restarts of the backend", seen.Connections, seen.Gaps, f.rounds)
		}
		f.events += len(seen.Events)
	}
	f.told = time.Since(ending)
	if err := bridge.wait(t); err != nil {
		t.Errorf("the bridge ended with %v", err)
	}
	f.exit = time.Since(ending)
	running.kill(t)
	return f
}

// connectAll connects clients at once, and waits until each has an event.
func (f *figures) connectAll(t *testing.T, url string) []*ssetest.Client {
	t.Helper()
	began := time.Now()
	clients := make([]*ssetest.Client, *stalledClients)
	for i := range clients {
		clients[i] = ssetest.Connect(t, url, ssetest.Options{})
	}
	for _, c := range clients {
		c.AwaitMessages(1)
	}
	f.connect = max(f.connect, time.Since(began))
	f.connects += len(clients)
	return clients
}
