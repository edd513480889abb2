package topic

import (
	"testing"
	"testing/synctest"
	"time"
)

func (w *world) expectStale(c *client, want bool) {
	w.t.Helper()
	synctest.Wait()
	if got := c.sub.Topic.Status().Stale; got != want {
		w.t.Fatalf("stale is %t, want %t", got, want)
	}
}

// Clients hear after five seconds without a place, however many attempts fall
// into them, and again when there is one.
func TestStale(t *testing.T) {
	for name, answers := range map[string][]answer{
		"one long attempt": {{slow: time.Minute}},
		"many short ones": {
			{openErr: errHold},
			{openErr: errHold},
			{openErr: errHold},
			{openErr: errHold},
			{openErr: errHold},
			{slow: time.Minute},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, anyLimits, func(t *testing.T, w *world) {
				w.backend.then(answers...)
				c := w.join("k")
				time.Sleep(5*time.Second - time.Nanosecond)
				w.expectStale(c, false)
				time.Sleep(time.Nanosecond)
				w.expectStale(c, true)
				late := w.join("k")
				w.expectStale(late, true)
				time.Sleep(70 * time.Second)
				w.expectStale(c, false)
				w.expectPhase(c, Live)
			})
		})
	}
}

// A backend that says nothing is not stale: its RPC is placed.
func TestSilentIsNotStale(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.backend.then(answer{silent: true})
		c := w.join("k")
		time.Sleep(time.Hour)
		w.expectStale(c, false)
		w.expectPhase(c, Opening)
		w.expectOpens(1)
	})
}

// The five seconds begin with the loss of the place, whatever was before.
func TestStaleCountsFromTheLoss(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.backend.then(answer{openErr: errHold}, answer{}, answer{slow: time.Minute})
		c := w.join("k")
		time.Sleep(4 * time.Second)
		w.expectPhase(c, Live)
		w.backend.fail(t, errHold) // before a message: hidden
		time.Sleep(5*time.Second - time.Nanosecond)
		w.expectStale(c, false)
		time.Sleep(time.Nanosecond)
		w.expectStale(c, true)
		time.Sleep(time.Minute)
		w.expectStale(c, false)
	})
}

// A broken topic is not stale: its clients are told to come back.
func TestBrokenIsNotStale(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.backend.then(answer{slow: 7 * time.Second, openErr: errRetry}, answer{slow: time.Minute})
		c := w.join("k")
		time.Sleep(6 * time.Second)
		w.expectStale(c, true)
		time.Sleep(time.Second)
		w.expectPhase(c, Broken)
		w.expectStale(c, false)
		time.Sleep(10 * time.Second)
		w.expectStale(c, false)
		c = w.join("k")
		time.Sleep(5*time.Second - time.Nanosecond)
		w.expectStale(c, false)
		time.Sleep(time.Nanosecond)
		w.expectStale(c, true)
	})
}

func TestFinishedIsNotStale(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.backend.then(answer{slow: 7 * time.Second, openErr: errFatal})
		c := w.join("k")
		time.Sleep(6 * time.Second)
		w.expectStale(c, true)
		time.Sleep(time.Second)
		w.expectStale(c, false)
		c.expect("end:fatal EOF")
		time.Sleep(10 * time.Second)
		w.expectStale(c, false)
	})
}
