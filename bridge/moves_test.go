package bridge_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// Without linger, a client that moves to main must not end it by leaving the catch-up that kept main open.
func TestAMoveToMainWithoutLinger(t *testing.T) {
	inWorld(t, feedRoute("event: {id: seq}, resume: {field: after}, replay: {linger: 0s}"), func(t *testing.T, w *world) {
		l := newLedger()
		w.Stage.watch = l.watch
		l.publish(5)
		c := w.listen("/feed", ssetest.Options{LastEventID: "3"})
		expect(t, c, "open 4 5")
		l.publish(2)
		expect(t, c, "open 4 5 6 7")
		time.Sleep(time.Hour)
		l.publish(2)
		synctest.Wait()
		if running, _ := l.now(); running != 1 {
			t.Errorf("%d RPCs run", running)
		}
		expect(t, c, "open 4 5 6 7 8 9")
	})
}

// Here the client for which main was opened left before it was answered.
func TestAMoveToAMainThatIsNotAcceptedYet(t *testing.T) {
	inWorld(t, feedRoute("event: {id: seq}, resume: {field: after}, open_grace: 1m"), func(t *testing.T, w *world) {
		fresh := w.connect("/feed", ssetest.Options{})
		main := w.rpc() // the backend does not accept it yet
		c := w.connect("/feed", ssetest.Options{LastEventID: "3"})
		catchUp := w.rpc()
		catchUp.accept()
		synctest.Wait()
		fresh.Close()
		synctest.Wait()
		main.accept()
		main.count(4, 5)
		catchUp.count(4, 4)
		expect(t, c, "open 4 5")
		select {
		case <-main.Gone:
			t.Fatal("main has ended under its client")
		default:
		}
		main.count(6, 6)
		expect(t, c, "open 4 5 6")
	})
}
