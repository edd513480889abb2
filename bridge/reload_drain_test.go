package bridge_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// They are cut a second after drain.grace, and nothing of the old route is left.
func TestAReloadCutsStalledClients(t *testing.T) {
	inWorld(t, "drain: {grace: 10s}\n"+feedRoute("write_timeout: 1m"), func(t *testing.T, w *world) {
		rpc, end := w.listenStuck()
		rpc.flood()
		began := time.Now()
		w.reloaded("drain: {grace: 10s}\n" + feedRoute("write_timeout: 2m"))
		<-rpc.Gone
		if took := time.Since(began); took != 11*time.Second {
			t.Errorf("cut after %v", took)
		}
		if err := end(); err == nil {
			t.Error("the stuck stream ended as if it were complete")
		}
	})
}

func TestARequestThatAReloadOvertakesIsAskedToReconnect(t *testing.T) {
	inWorld(t, "drain: {grace: 0s}\n"+feedRoute("open_grace: 60s"), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		strict := w.connect("/feed", ssetest.Options{Header: http.Header{"Prefer": {"status"}}})
		w.rpc() // the backend does not accept it
		synctest.Wait()
		w.reloaded("drain: {grace: 0s}\n" + feedRoute("open_grace: 50s"))
		endedWell(t, c)
		expect(t, c, "open retry:reload")
		if got := strict.AwaitStatus(); got != http.StatusServiceUnavailable {
			t.Errorf("a client that prefers a status is answered %d", got)
		}
	})
}

func TestReloadsDoNotWaitForClients(t *testing.T) {
	inWorld(t, "drain: {grace: 30s}\n"+feedRoute("event: {id: seq}, resume: {field: after}"), func(t *testing.T, w *world) {
		l := newLedger()
		w.Stage.watch = l.watch
		var clients []*ssetest.Client
		for i := range 60 {
			clients = append(clients, w.listen("/feed", ssetest.Options{}))
			if i%3 == 0 {
				w.reloaded("drain: {grace: 30s}\n" + feedRoute("event: {id: seq}, resume: {field: after}, retry: "+(time.Duration(i+1)*time.Second).String()))
			}
			l.publish(1)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		back := 0
		for _, c := range clients {
			if c.Snapshot().Ended == nil {
				continue // the client connected after the last change
			}
			endedWell(t, c)
			if seen := story(c.Snapshot()); strings.Count(seen, "retry:reload") != 1 {
				t.Errorf("a client saw %s", seen)
			}
			c.Reconnect()
			back++
		}
		synctest.Wait()
		l.publish(1)
		if back != 58 {
			t.Errorf("%d clients were asked to reconnect, want all but the last 2", back)
		}
		for _, c := range clients {
			seen := c.Snapshot()
			// A client without a cursor cannot resume, and is sent a gap.
			early := strings.HasPrefix(story(seen), "open retry:reload gap:restarted ") && seen.Gaps == 1
			first, err := strconv.ParseInt(word(seen.Messages()[0]), 10, 64)
			if err != nil || seen.Gaps > 0 && !early {
				t.Fatalf("a client saw %s", story(seen))
			}
			for i, message := range seen.Messages() {
				if word(message) != strconv.FormatInt(first+int64(i), 10) {
					t.Fatalf("a client saw %s", story(seen))
				}
			}
			if n := len(seen.Messages()); first+int64(n) != 62 {
				t.Errorf("a client saw %s", story(seen))
			}
		}
		if running, _ := l.now(); running != 1 {
			t.Errorf("%d RPCs run in the end", running)
		}
	})
}

func TestTheConfigurationAtItsBeginningAppliesToADrain(t *testing.T) {
	inWorld(t, "drain: {delay: 0s, grace: 1s}\n"+feedRoute("retry: 3s"), func(t *testing.T, w *world) {
		w.reloaded("drain: {delay: 1m, grace: 1h}\n" + feedRoute("retry: 3s"))
		var clients []*ssetest.Client
		for range 10 {
			clients = append(clients, w.listen("/feed", ssetest.Options{}))
		}
		w.rpc().accept()
		began := time.Now()
		if err := w.Bridge.Drain(context.Background()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < 50*time.Minute || took > 62*time.Minute {
			t.Errorf("took %v", took)
		}
		for _, c := range clients {
			endedWell(t, c)
			expect(t, c, "open retry:drain")
		}
	})
}

// It asks those that the reload has not asked yet. A later reload is refused.
func TestADrainAsksTheClientsOfAReload(t *testing.T) {
	const settings = "drain: {delay: 0s, grace: 100s}\n"
	inWorld(t, settings+feedRoute("retry: 3s"), func(t *testing.T, w *world) {
		var clients []*ssetest.Client
		for range 10 {
			clients = append(clients, w.listen("/feed", ssetest.Options{}))
		}
		w.rpc().accept()
		w.reloaded("drain: {delay: 0s, grace: 4s}\n" + feedRoute("retry: 4s"))
		drained := make(chan error, 1)
		go func() { drained <- w.Bridge.Drain(context.Background()) }()
		synctest.Wait()
		if err := w.reload(settings + feedRoute("retry: 3s")); err == nil || err.Error() != "the configuration is not reloaded: draining" {
			t.Errorf("a reload while the bridge drains: %v", err)
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
		for _, c := range clients {
			endedWell(t, c)
		}
		if err := w.Bridge.Close(); err != nil {
			t.Error(err)
		}
		if err := w.reload(settings + feedRoute("retry: 3s")); err == nil {
			t.Error("a reload after Close")
		}
		if reloads := w.Bridge.Reloads(); reloads.OK != 1 || reloads.Failed != 0 {
			t.Errorf("Reloads has %+v", reloads)
		}
	})
}
