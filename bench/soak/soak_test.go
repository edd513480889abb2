package main

import (
	"context"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain is the backend's process too. At every connection that toxiproxy
// cuts it leaves who reads from it, and the toxic before the one that cut.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == asBackend {
		fail(runBackend(os.Args[2:]))
		return
	}
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).read"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"),
	)
}

// TestSoak is the soak at a hundredth of its size: every fault once at least.
func TestSoak(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	command, err := build(ctx, t.TempDir(), raceEnabled)
	if err != nil {
		t.Fatal(err)
	}
	set := settings{
		seed: uint64(time.Now().UnixNano()), kinds: allKinds(), clients: 40, rooms: 1, proxies: 2,
		every: 50 * time.Millisecond, lasts: 300 * time.Millisecond, rests: 200 * time.Millisecond,
		once: true, reloads: 20, faults: 20, each: 1, table: time.Minute, command: command, backend: []string{os.Args[0], asBackend}, out: t.Output(),
	}
	t.Logf("seed %d", set.seed)
	if err := run(ctx, set); err != nil {
		t.Error(err)
	}
}
