package bridge_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// A backend that sends neither headers nor messages for a minute gets no second RPC, and its clients get heartbeats.
func TestASilentBackendKeepsItsRPC(t *testing.T) {
	onBoth(t, "heartbeat: {every: 7s}", func(t *testing.T, w *world) {
		began := time.Now()
		c := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		c.AwaitEvents(1)
		if waited := time.Since(began); waited != 250*time.Millisecond {
			t.Errorf("the first bytes came after %v, want open_grace", waited)
		}
		time.Sleep(time.Minute)
		expect(t, c, "open")
		if beats := c.Snapshot().Heartbeats; beats != 8 {
			t.Errorf("%d heartbeats in a silent minute, want 8", beats)
		}
		w.noRPC()
		rpc.count(1, 1) // the RPC is still the first one, and works
		synctest.Wait()
		expect(t, c, "open 1")
		if opens := w.Stage.opens.Load(); opens != 1 {
			t.Errorf("%d RPCs were opened, want 1", opens)
		}
	})
}
