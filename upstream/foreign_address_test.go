package upstream

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// A name may have addresses of both IP versions while only one version works. The others are
// reported as foreign, not as down, and do not trigger lookups.
func TestAddressesOfAnIPVersionThatDoesNotWorkAreForeign(t *testing.T) {
	b := backendtest.Start(t)
	b.OnWatch(silent)
	_, port, err := net.SplitHostPort(b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	names := backendtest.StartNames(t)
	names.Set("app.test", "127.0.0.1", "127.0.0.99", "::1")
	u := connect(t, Params{Target: names.Target("app.test", port), Schema: quiet(), resolveEvery: time.Hour})
	watch(t, u, nil)
	six := net.JoinHostPort("::1", port)
	foreign := func(usage Usage) (names []string) {
		for _, a := range usage.Addresses {
			if a.Foreign {
				names = append(names, a.Address)
			}
		}
		return names
	}
	awaitUsage(t, u, "the address of IPv6 is not foreign", func(usage Usage) bool { return slices.Equal(foreign(usage), []string{six}) })

	names.Set("app.test", "127.0.0.1", "::1") // 127.0.0.99 is down and triggers lookups
	awaitUsage(t, u, "the address that is down is still there", func(usage Usage) bool { return len(usage.Addresses) == 2 })
	time.Sleep(2 * minLookupPause) // for a lookup that is due
	before := names.Lookups()
	time.Sleep(4 * time.Second) // an attempt to connect each 1 to 3 s
	if n := names.Lookups() - before; n > 0 {
		t.Errorf("%d lookups while nothing has changed", n)
	}

	// An address that has worked is not foreign once it is lost.
	u.pool.mu.Lock()
	u.pool.triedLocked(u.pool.endpointLocked(six), true)
	u.pool.mu.Unlock()
	if got := foreign(u.Usage()); len(got) > 0 {
		t.Errorf("%v is foreign", got)
	}
}
