package main

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ssebridge/ssebridge/bench/internal/program"
)

// folder is where the bridge is built.
var folder string

// building builds it once.
var building = sync.OnceValues(func() (string, error) { return program.Build(context.Background(), folder, raceEnabled) })

// built returns a bridge that is built as the test is.
func built(t *testing.T) string {
	t.Helper()
	command, err := building()
	if err != nil {
		t.Fatal(err)
	}
	return command
}

// TestMain is the backend's process too. At every connection that toxiproxy
// cuts it leaves the reader of it, and the toxic before the one that cut.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == asBackend {
		program.Fail(runBackend(os.Args[2:]))
		return
	}
	var err error
	folder, err = os.MkdirTemp("", "soak")
	program.Fail(err)
	goleak.VerifyTestMain(m,
		goleak.Cleanup(func(code int) {
			_ = os.RemoveAll(folder) // nothing of it is needed
			os.Exit(code)
		}),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).read"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"),
	)
}

// testEvery is the time between two messages. The race detector has its clients take
// some milliseconds for each bulky one.
func testEvery() time.Duration {
	if raceEnabled {
		return 100 * time.Millisecond
	}
	return 50 * time.Millisecond
}

// TestSoak is the soak at a hundredth of its size: every fault once at least.
func TestSoak(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	set := settings{
		seed: uint64(time.Now().UnixNano()), kinds: allKinds(), clients: 40, rooms: 1, proxies: 2,
		every: testEvery(), lasts: 300 * time.Millisecond, rests: 200 * time.Millisecond,
		once: true, reloads: 8, age: connectionAge, grace: time.Second, faults: 20, each: 1, table: time.Minute, command: built(t), backend: []string{os.Args[0], asBackend}, out: t.Output(),
	}
	t.Logf("seed %d", set.seed)
	if err := run(ctx, set); err != nil {
		t.Error(err)
	}
}
