package topic

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// After a message, a passing failure asks clients to come back; the first to do so
// opens the RPC again, and a gap says that messages may be missing.
func TestBreakAfterMessages(t *testing.T) {
	for _, err := range []error{errRetry, errFlaky} {
		t.Run(err.Error(), func(t *testing.T) {
			inWorld(t, anyLimits, func(t *testing.T, w *world) {
				a, b := w.join("k"), w.join("k")
				w.backend.send(t, "1")
				w.backend.fail(t, err)
				w.expectPhase(a, Broken)
				if !errors.Is(a.sub.Topic.Status().Err, err) || !a.toldToLeave() || !b.toldToLeave() {
					t.Fatal("the clients are not told")
				}
				time.Sleep(time.Minute)
				w.expectOpens(1) // the topic has no client
				back := w.join("k", at("e1", 1))
				if back.toldToLeave() {
					t.Fatal("told to leave for what was before")
				}
				w.join("k", at("e1", 1))
				w.expectOpens(2)
				w.backend.send(t, "2")
				back.expect("gap:upstream 2")
				if !a.toldToLeave() {
					t.Fatal("a client that has not left yet is told no more")
				}
				a.expect("1 gap:upstream 2")
			})
		})
	}
}

// A failure that is held is hidden: the RPC is opened again, and all that clients
// hear is a gap.
func TestBreakIsHidden(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		c := w.join("k")
		w.backend.send(t, "1")
		w.backend.fail(t, errHold)
		w.expectPhase(c, Opening)
		time.Sleep(time.Second)
		w.expectPhase(c, Live)
		w.backend.send(t, "2")
		c.expect("1 gap:upstream 2")
		if c.toldToLeave() {
			t.Fatal("told to leave")
		}
	})
}

// A proxy that accepts and hangs up makes opening fail with an io.EOF somewhere in
// its error: that is no end of the stream, which would stop every browser.
func TestHungUpIsNoEnd(t *testing.T) {
	hungUp := fmt.Errorf("%w: no connection: %w", errHold, io.EOF)
	for name, a := range map[string]answer{"opening": {openErr: hungUp}, "accepting": {acceptErr: hungUp}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, anyLimits, func(t *testing.T, w *world) {
				w.backend.then(answer{}, a)
				c := w.join("k")
				w.backend.send(t, "1")
				w.backend.fail(t, hungUp)
				time.Sleep(time.Second)
				w.expectPhase(c, Live)
				w.expectOpens(3)
				w.backend.send(t, "2")
				c.expect("1 gap:upstream 2")
			})
		})
	}
}

// A held failure is held for as many attempts as there may be.
func TestAttemptsAreUsedUp(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.params.Attempts = 2
		w.backend.then(answer{}, answer{openErr: errHold}, answer{acceptErr: errHold}, answer{openErr: errHold})
		c := w.join("k")
		w.backend.send(t, "1")
		w.backend.fail(t, errHold)
		time.Sleep(time.Minute)
		w.expectOpens(3)
		w.expectPhase(c, Broken)
		if !c.toldToLeave() {
			t.Fatal("not told to leave")
		}
	})
}

// Rule 13: where nothing had been delivered, nothing can be missing.
func TestBreakBeforeMessages(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.backend.then(answer{acceptErr: errRetry}, answer{openErr: errRetry})
		c := w.join("k")
		w.expectPhase(c, Broken)
		c.leave()
		w.expectTopics(1)
		c = w.join("k", at("e1", 0)) // meets the second failure
		w.expectOpens(1)             // which is not asked for at once
		time.Sleep(200 * time.Millisecond)
		w.expectOpens(2)
		w.expectPhase(c, Broken)
		c = w.join("k", at("e1", 0))
		time.Sleep(time.Second)
		w.backend.send(t, "1")
		c.expect("1")
	})
}

// A gap that is due is told even if the RPC after it fails, too, and once only.
func TestGapIsSentOnce(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.backend.then(answer{}, answer{openErr: errRetry})
		c := w.join("k", held)
		w.backend.send(t, "1")
		w.backend.fail(t, errRetry)
		w.join("k") // fails
		time.Sleep(time.Second)
		w.expectPhase(c, Broken)
		w.join("k")
		time.Sleep(time.Second)
		w.backend.send(t, "2")
		c.expect("1 gap:upstream 2")
	})
}

// Attempts before the first message are hidden, and spaced by the backoff:
// between half and all of a delay that doubles up to its bound.
func TestHoldBacksOff(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		for range 7 {
			w.backend.then(answer{openErr: errHold}, answer{acceptErr: errHold})
		}
		c := w.join("k")
		time.Sleep(3 * time.Minute)
		w.expectOpens(15)
		delay := 100 * time.Millisecond
		for i := 1; i < len(w.backend.attempts); i++ {
			pause := w.backend.attempts[i].Sub(w.backend.attempts[i-1])
			if pause < delay/2 || pause > delay {
				t.Errorf("attempt %d after %v, want between %v and %v", i, pause, delay/2, delay)
			}
			delay = min(2*delay, 10*time.Second)
		}
		if c.toldToLeave() {
			t.Error("told to leave")
		}
		w.expectPhase(c, Live)
		w.backend.send(t, "1")
		c.expect("1")
	})
}

// The backoff begins again after a message, or after the RPC has lived for as
// long as its bound.
func TestBackoffBeginsAgain(t *testing.T) {
	for name, live := range map[string]func(t *testing.T, w *world){
		"message": func(t *testing.T, w *world) { t.Helper(); w.backend.send(t, "1") },
		"life":    func(*testing.T, *world) { time.Sleep(10 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, anyLimits, func(t *testing.T, w *world) {
				for range 6 {
					w.backend.then(answer{openErr: errHold})
				}
				w.join("k")
				time.Sleep(time.Minute)
				w.expectOpens(7)
				live(t, w)
				w.backend.fail(t, errRetry)
				broke := time.Now()
				w.join("k")
				time.Sleep(time.Second)
				w.expectOpens(8)
				if pause := w.backend.attempts[7].Sub(broke); pause > 100*time.Millisecond {
					t.Fatalf("opened again after %v", pause)
				}
			})
		})
	}
}

// Coming back at once does not hurry the backoff.
func TestRejoiningKeepsThePace(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		began := time.Now()
		for range 1000 {
			w.backend.then(answer{openErr: errRetry})
		}
		for time.Since(began) < time.Minute {
			w.join("k").leave()
			time.Sleep(10 * time.Millisecond)
		}
		if opens := w.backend.opens(); opens > 20 {
			t.Fatalf("%d RPCs in a minute", opens)
		}
	})
}

func TestFlaky(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		for range 2 {
			w.backend.then(answer{openErr: errFlaky}, answer{acceptErr: errFlaky})
		}
		var c *client
		for range 4 {
			c = w.join("k", held)
			time.Sleep(10 * time.Second)
			w.expectPhase(c, Broken)
			c.leave()
		}
		w.backend.then(answer{openErr: errFlaky})
		c = w.join("k", held)
		time.Sleep(10 * time.Second)
		w.expectPhase(c, Finished)
		c.expect("end:flaky EOF")
	})
}

// A failure that is known to pass is not held against a backend: it may have been
// away for long before it answers with what may be a bug.
func TestFlakyCountsOnlyItself(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		for range 10 {
			w.backend.then(answer{openErr: errHold})
		}
		w.backend.then(answer{openErr: errFlaky})
		c := w.join("k")
		time.Sleep(3 * time.Minute)
		w.expectOpens(11)
		w.expectPhase(c, Broken)
	})
}

// An RPC that worked begins the count again: by a message, by its OK, or by
// its life, for a stream may be silent, and be reset by what stands between.
func TestFlakyInARow(t *testing.T) {
	for name, work := range map[string]func(t *testing.T, w *world){
		"message": func(t *testing.T, w *world) { t.Helper(); w.backend.send(t, "1"); w.backend.fail(t, errFlaky) },
		"life": func(t *testing.T, w *world) {
			t.Helper()
			time.Sleep(10 * time.Second)
			w.backend.fail(t, errFlaky)
		},
		"OK": func(t *testing.T, w *world) { t.Helper(); w.backend.fail(t, io.EOF) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, anyLimits, func(t *testing.T, w *world) {
				w.params.Reopen = true
				failed := answer{openErr: errFlaky}
				w.backend.then(failed, failed, failed, failed, answer{}, failed, failed, failed, failed)
				var c *client
				for range 4 {
					c = w.join("k")
					time.Sleep(10 * time.Second)
				}
				w.expectPhase(c, Broken)
				w.join("k")
				time.Sleep(10*time.Second + time.Millisecond)
				w.expectOpens(5)
				work(t, w)
				for w.backend.opens() < 9 {
					c = w.join("k")
					time.Sleep(10 * time.Second)
				}
				w.expectPhase(c, Broken)
				w.expectTopics(1)
			})
		})
	}
}

func TestFatal(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		a := w.join("k")
		w.backend.send(t, "1")
		w.backend.fail(t, errFatal)
		a.expect("1 end:fatal EOF")
		status := a.sub.Topic.Status()
		if status.Phase != Finished || !errors.Is(status.Err, errFatal) || !status.Messages || a.toldToLeave() {
			t.Fatalf("status %+v", status)
		}
		w.expectRunning(0)
	})
}

// Where clients have no place to come back to, a break is the end.
func TestNoReturn(t *testing.T) {
	for _, err := range []error{errHold, errRetry, errFlaky} {
		t.Run(err.Error(), func(t *testing.T) {
			inWorld(t, anyLimits, func(t *testing.T, w *world) {
				w.params.NoReturn = true
				c := w.join("k")
				w.backend.send(t, "1")
				w.backend.fail(t, err)
				c.expect("1 end:" + err.Error() + " EOF")
			})
		})
	}
}

func TestReopen(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.params.Reopen = true
		c := w.join("k")
		w.backend.send(t, "1")
		w.backend.fail(t, io.EOF)
		time.Sleep(100 * time.Millisecond)
		w.expectOpens(2)
		w.backend.fail(t, io.EOF) // with nothing delivered, nothing is missing
		time.Sleep(200 * time.Millisecond)
		w.expectOpens(3)
		w.backend.send(t, "2")
		c.expect("1 gap:upstream 2")
		if c.toldToLeave() {
			t.Fatal("told to leave")
		}
	})
}

func TestBadMessage(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		c := w.join("k")
		w.backend.send(t, "1", "bad", "2")
		c.expect("1 gap:untranscodable 2")
	})
}

func TestStopOnBad(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.params.StopOnBad = true
		c := w.join("k")
		w.backend.send(t, "1", "bad")
		c.expect("1 end:bad EOF")
		w.expectRunning(0)
	})
}

// A message that cannot be shown is something delivered: a break after it
// needs its gap.
func TestBadMessageIsDelivered(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		c := w.join("k")
		w.backend.send(t, "bad")
		w.backend.fail(t, errHold)
		c.expect("gap:untranscodable gap:upstream")
	})
}

func TestStatusChanges(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.backend.then(answer{slow: time.Second})
		c := w.join("k")
		opening := c.sub.Topic.Status()
		select {
		case <-opening.Changed():
			t.Fatal("nothing has changed")
		default:
		}
		time.Sleep(time.Second)
		synctest.Wait()
		<-opening.Changed()
		if opening.Phase != Opening || c.sub.Topic.Status().Phase != Live {
			t.Fatal("a status changes under its reader, or does not follow")
		}
	})
}
