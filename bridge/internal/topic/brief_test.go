package topic

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// A peer that opens topics of ever new keys and leaves each at once costs a few RPCs, whatever their number, and pushes
// out no topic that a client has listened to.
func TestTopicsThatAreLeftAtOnceHaveASmallShare(t *testing.T) {
	limits := Limits{Topics: 1000, Idle: 200, Bytes: 1 << 30}
	inWorld(t, limits, func(t *testing.T, w *world) {
		rooms := make([]*client, 190)
		for i := range rooms {
			rooms[i] = w.join(fmt.Sprint("room", i))
		}
		time.Sleep(settles)
		for _, c := range rooms {
			c.leave()
		}
		for i := range 1000 {
			w.join(fmt.Sprint("flood", i)).leave()
		}
		w.expectRunning(200)
		for i := range rooms {
			if back := w.join(fmt.Sprint("room", i), at(rooms[i].sub.Topic.epoch, 0)); back.sub.Start != Resumed {
				t.Fatalf("the flood has pushed out room %d", i)
			}
		}
		for i := range 1000 {
			w.join(fmt.Sprint("more", i)).leave()
		}
		w.expectRunning(190 + mostBrief(limits.Idle))
	})
}

// A page that is reloaded at once finds its topic, at any time of the linger.
func TestAPageThatIsReloadedAtOnceFindsItsTopic(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		c := w.join("k")
		c.leave()
		time.Sleep(30*time.Second - time.Millisecond)
		back := w.join("k")
		w.expectOpens(1)
		time.Sleep(settles)
		back.leave()
		for i := range 100 {
			w.join(fmt.Sprint("flood", i)).leave()
		}
		w.join("k")
		w.expectOpens(101)
	})
}

// The address that has left most topics at once makes room for the others.
func TestAnAddressMakesRoomByItsOwnTopics(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		from := func(last byte) func(*Join) {
			return func(j *Join) { j.From = netip.AddrFrom4([4]byte{203, 0, 113, last}) }
		}
		for i := range 3 {
			w.join(fmt.Sprint("page", i), from(1)).leave()
		}
		for i := range 1000 {
			w.join(fmt.Sprint("flood", i), from(2)).leave()
		}
		w.expectRunning(mostBrief(anyLimits.Idle))
		for i := range 3 {
			w.join(fmt.Sprint("page", i), from(1))
		}
		w.expectOpens(1003)
	})
}

// A stream that has ended has no RPC, and its clients may have been cut before its end.
func TestShortStreamsLinger(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		for i := range 50 {
			c := w.join(fmt.Sprint("answer", i))
			w.backend.fail(t, errFatal)
			c.leave()
		}
		w.expectTopics(50)
	})
}

// They also make room first where all logs together are too large.
func TestTopicsThatAreLeftAtOnceMakeRoomForBytes(t *testing.T) {
	inWorld(t, smallBytes, func(t *testing.T, w *world) {
		room := w.join("room")
		w.sendBytes(30)
		time.Sleep(settles)
		room.leave()
		flood := w.join("flood")
		w.sendBytes(30)
		flood.leave()
		w.join("c")
		w.sendBytes(40)
		w.expectTopics(2)
		if back := w.join("room", at("e1", 30)); back.sub.Start != Resumed {
			t.Error("the room has gone, and not the topic that was left at once")
		}
	})
}
