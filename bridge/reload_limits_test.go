package bridge_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

func TestReloadedLimitsCountPresentClients(t *testing.T) {
	const keys = "request: {query: true}"
	inWorld(t, feedRoute(keys), func(t *testing.T, w *world) {
		var rpcs []*rpc
		for _, topic := range []string{"1", "2", "3", "4"} {
			c := w.listen("/feed?topic="+topic, ssetest.Options{})
			rpcs = append(rpcs, w.rpc())
			rpcs[len(rpcs)-1].accept()
			if topic < "4" {
				c.Close()
			} else {
				defer expect(t, c, "open")
			}
			synctest.Wait()
		}
		w.reloaded("limits: {idle_topics: 2}\n" + feedRoute(keys))
		<-rpcs[0].Gone
		w.reloaded("limits: {topics: 2}\n" + feedRoute(keys))
		<-rpcs[1].Gone
		w.reloaded("limits: {topics: 1}\n" + feedRoute(keys))
		<-rpcs[2].Gone
		shed := w.listen("/feed?topic=5", ssetest.Options{})
		expect(t, shed, "open retry:shed")
		w.reloaded("limits: {topics: 2, request_bytes: 1KiB}\n" + feedRoute(keys))
		if got := w.do(http.MethodGet, "/feed?topic="+strings.Repeat("x", 2000), ""); got.Status != http.StatusRequestURITooLong && got.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("a request over request_bytes is answered %d", got.Status)
		}
		w.noRPC()
	})
}

func TestALoweredReplayBytesTrimsAtOnce(t *testing.T) {
	inWorld(t, feedRoute("retry: 3s"), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		for range 64 {
			rpc.send(&testv1.FeedEvent{Kind: strings.Repeat("x", 16<<10)})
		}
		synctest.Wait()
		first := c.Snapshot().Events[1].ID
		again := w.listen("/feed", ssetest.Options{LastEventID: first})
		if n := len(again.Snapshot().Messages()); n != 63 {
			t.Errorf("the log has %d events after the first", n)
		}
		w.reloaded("limits: {replay_bytes: 256KiB}\n" + feedRoute("retry: 3s"))
		late := w.listen("/feed", ssetest.Options{LastEventID: first})
		if n := len(late.Snapshot().Messages()); n > 16 || late.Snapshot().Gaps != 1 {
			t.Errorf("the log has %d events within 256 KiB, and %d gaps were sent", n, late.Snapshot().Gaps)
		}
	})
}

func TestTheLastFramesOfEndedStreamsCountInReplayBytes(t *testing.T) {
	inWorld(t, "limits: {replay_bytes: 128KiB}\n"+feedRoute("request: {query: true}, replay: {linger: 1h}"), func(t *testing.T, w *world) {
		var rpcs []*rpc
		for i := range 100 {
			w.listen("/feed?topic="+strconv.Itoa(i), ssetest.Options{})
			rpc := w.rpc()
			rpc.accept()
			rpc.send(&testv1.FeedEvent{Kind: strings.Repeat("x", 940)})
			synctest.Wait()
			rpcs = append(rpcs, rpc)
		}
		for _, rpc := range rpcs {
			rpc.end(nil)
		}
		synctest.Wait()
		if got := scrape(t, w.Bridge)["ssebridge_log_bytes"]; got == 0 || got > 128<<10 {
			t.Errorf("the logs have %v bytes", got)
		}
	})
}

func TestAChangedMessageBytesChangesTheRoute(t *testing.T) {
	inWorld(t, "drain: {grace: 0s}\n"+feedRoute("event: {id: seq}"), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		w.rpc().accept()
		w.reloaded("drain: {grace: 0s}\nlimits: {message_bytes: 1KiB}\n" + feedRoute("event: {id: seq}"))
		endedWell(t, c)
		c.Reconnect()
		rpc := w.rpc()
		rpc.send(&testv1.FeedEvent{Seq: 1, Kind: strings.Repeat("x", 2<<10)})
		rpc.count(2, 2)
		if seen := story(c.Snapshot()); !strings.HasSuffix(seen, "gap:untranscodable 2") {
			t.Errorf("the client saw %s", seen)
		}
	})
}
