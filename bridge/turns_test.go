package bridge_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// ledgers has a ledger for each topic.
type ledgers map[string]*ledger

func (l ledgers) watch(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	return l[request.GetTopic()].watch(request, stream)
}

// After a restart of the bridge the clients of quiet topics reconnect at their newest cursor. Their
// catch-ups never meet main, and must not keep the slots that other topics need.
func TestQuietTopicsDoNotBlockCatchUps(t *testing.T) {
	inWorld(t, "limits: {catchups: 2}\n"+feedRoute("event: {id: seq}, resume: {field: after}, request: {query: [topic]}"), func(t *testing.T, w *world) {
		all := ledgers{}
		w.Stage.watch = all.watch
		var clients []*ssetest.Client
		for i := range 4 {
			name := strconv.Itoa(i)
			all[name] = newLedger()
			all[name].publish(1)
		}
		for i := range 4 {
			clients = append(clients, w.listen("/feed?topic="+strconv.Itoa(i), ssetest.Options{LastEventID: "1"}))
		}
		synctest.Wait()
		for name, l := range all {
			if running, _ := l.now(); running != 2 {
				t.Errorf("topic %s has %d RPCs, want main's and a catch-up's", name, running)
			}
		}
		for i, c := range clients {
			all[strconv.Itoa(i)].publish(2)
			expect(t, c, "open 2 3")
		}
	})
}

// The page has left, and the RPC of its own lingers.
func TestALingeringRPCKeepsItsCatchUpSlot(t *testing.T) {
	for _, keys := range []string{"", ", ordered: false"} {
		inWorld(t, "limits: {catchups: 1}\n"+feedRoute("event: {id: seq}, resume: {field: after"+keys+"}, join: own, request: {set: {history: true}}, replay: {linger: 10m}"), func(t *testing.T, w *world) {
			w.Stage.watch = func(_ *testv1.WatchRequest, s grpc.ServerStreamingServer[testv1.FeedEvent]) error {
				if err := s.Send(&testv1.FeedEvent{Kind: "snapshot"}); err != nil {
					return err
				}
				<-s.Context().Done()
				return s.Context().Err()
			}
			main := w.listen("/feed", ssetest.Options{})
			expect(t, main, `open {"kind":"snapshot"}`)
			page := w.listen("/feed", ssetest.Options{})
			expect(t, page, `open {"kind":"snapshot"}`)
			page.Close()
			synctest.Wait()
			left := time.Now()
			next := w.listen("/feed", ssetest.Options{})
			for len(next.Snapshot().Messages()) == 0 && time.Since(left) < time.Hour {
				time.Sleep(time.Second)
				synctest.Wait()
			}
			if waited := time.Since(left); waited > time.Second {
				t.Errorf("%s the next page waits %v for one that has left: %s", keys, waited, story(next.Snapshot()))
			}
		})
	}
}

// The stream begins with a snapshot, and its next message is late.
func TestPagesOnAQuietSnapshotStreamDoNotBlockEachOther(t *testing.T) {
	inWorld(t, "limits: {catchups: 2}\n"+feedRoute("event: {id: seq}, resume: {field: after}, join: own"), func(t *testing.T, w *world) {
		w.Stage.watch = func(_ *testv1.WatchRequest, s grpc.ServerStreamingServer[testv1.FeedEvent]) error {
			if err := s.Send(&testv1.FeedEvent{Kind: "snapshot"}); err != nil {
				return err
			}
			<-s.Context().Done()
			return s.Context().Err()
		}
		var pages []*ssetest.Client
		for range 6 {
			pages = append(pages, w.listen("/feed", ssetest.Options{}))
		}
		time.Sleep(10 * time.Second)
		for _, page := range pages {
			if len(page.Snapshot().Messages()) == 0 {
				t.Error("a page has no snapshot")
			}
		}
	})
}
