package topic

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// smallBytes is room for some frames of 1 KiB: 128 KiB beside those that are kept for readers.
var smallBytes = Limits{Topics: 100, Idle: 100, Bytes: 171 << 10}

// sendBytes sends so many messages of 1 KiB over the newest RPC.
func (w *world) sendBytes(n int) {
	for range n {
		w.backend.send(w.t, strings.Repeat("x", 1<<10))
	}
}

func (w *world) expectBytesWithin(limits Limits) {
	w.t.Helper()
	if got := w.registry.Bytes(); got > limits.Bytes {
		w.t.Fatalf("the logs have %d bytes, over the %d that they may have", got, limits.Bytes)
	}
}

// Where all logs together are too large, topics without clients go first, the longest idle one before others.
func TestIdleTopicsMakeRoomForBytes(t *testing.T) {
	inWorld(t, smallBytes, func(_ *testing.T, w *world) {
		for _, key := range []string{"a", "b"} {
			c := w.join(key)
			w.sendBytes(30)
			c.leave()
		}
		w.expectTopics(2)
		c := w.join("c")
		w.sendBytes(40)
		w.expectTopics(2) // a has gone
		w.expectBytesWithin(smallBytes)
		c.read()
		w.sendBytes(50)
		w.expectTopics(1)
		w.expectBytesWithin(smallBytes)
		if got := c.read(); strings.Contains(got, "lagged") {
			t.Fatal("a client that reads has lost something while others were idle")
		}
	})
}

// Without an idle one the largest log loses its oldest frames, and a client that has not read
// them lags.
func TestTheLargestLogIsTrimmed(t *testing.T) {
	limits := Limits{Topics: 100, Idle: 100, Bytes: 400 << 10} // some segments
	inWorld(t, limits, func(t *testing.T, w *world) {
		w.params.Log.Events = 1000
		small := w.join("small")
		w.sendBytes(4)
		slow := w.join("large")
		fast := w.join("large")
		for range 60 {
			w.sendBytes(10)
			if got := fast.read(); strings.Contains(got, "lagged") {
				t.Fatal("a client that reads is lagged")
			}
			w.expectBytesWithin(limits)
		}
		if got := slow.read(); got != "lagged" {
			t.Fatalf("the client that has not read sees %.60q", got)
		}
		if got := small.read(); strings.Contains(got, "lagged") {
			t.Fatal("the small log has been trimmed")
		}
		w.expectTopics(2)
	})
}

// A private topic's log is not trimmed under its client: its backend waits.
func TestPrivateTopicsWaitForBytes(t *testing.T) {
	inWorld(t, smallBytes, func(t *testing.T, w *world) {
		w.params.Log.Events = 1000
		c := w.join("p", private)
		sent := 0
		for w.backend.offer(part{wire: strings.Repeat("x", 1<<10)}) {
			if sent++; sent > 1000 {
				t.Fatal("the backend is never stopped")
			}
		}
		got := c.read()
		if strings.Contains(got, "lagged") || !w.backend.offer(part{wire: "more"}) {
			t.Fatalf("after %d messages: %.60q", sent, got)
		}
	})
}

// Forms that are compressed for a reader take room, too: other logs make it when the reader reports its progress,
// not only when the next message comes.
func TestIdleTopicsMakeRoomForCompressedForms(t *testing.T) {
	inWorld(t, smallBytes, func(t *testing.T, w *world) {
		noise := rand.NewChaCha8([32]byte{1})
		send := func(n int) {
			for range n {
				var message [1 << 10]byte
				_, _ = noise.Read(message[:]) // never fails
				w.backend.send(t, string(message[:]))
			}
		}
		idle := w.join("idle")
		send(40)
		idle.leave()
		c := w.join("read")
		send(40)
		w.expectTopics(2)
		for position, head := c.position, c.sub.Log().Newest(); position < head; {
			_, next, _, err := c.sub.Log().GzipChunks(position, 0, 1<<20)
			if err != nil || next == position {
				t.Fatalf("read to %d: %v", next, err)
			}
			position = next
		}
		if !w.registry.budget.Over() {
			t.Fatal("what is compressed takes no room") // the test shows nothing
		}
		c.sub.Progress(c.sub.Log().Newest())
		w.expectTopics(1)
		w.expectBytesWithin(smallBytes)
	})
}
