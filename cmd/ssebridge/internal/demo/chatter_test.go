package demo

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// inLobby runs the chatters, a line a second, in a bubble.
func inLobby(t *testing.T, test func(t *testing.T, rs *rooms)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		rs := newRooms()
		c := newChatters(rs)
		c.pause = func(int) time.Duration { return time.Second }
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.run(ctx)
		}()
		synctest.Wait()
		test(t, rs)
		cancel()
		<-done
	})
}

func newestOf(r *room) int64 {
	_, newest, _ := r.watched()
	return newest
}

func TestChattersTalkOnlyToListeners(t *testing.T) {
	inLobby(t, func(t *testing.T, rs *rooms) {
		time.Sleep(time.Hour)
		r := rs.enter(lobby)
		if n := newestOf(r); n != 0 {
			t.Fatalf("%d events that nobody listened to", n)
		}
		time.Sleep(10*time.Second + time.Millisecond)
		if n := newestOf(r); n != 10 {
			t.Fatalf("%d events in ten seconds, want 10", n)
		}
		rs.exit(r)
		time.Sleep(time.Hour)
		if n := newestOf(r); n > 11 { // the line that was being typed
			t.Fatalf("%d events, although nobody listens", n)
		}
	})
}

func TestChattersSayTheirWholeScriptAndBeginAgain(t *testing.T) {
	inLobby(t, func(t *testing.T, rs *rooms) {
		r := rs.enter(lobby)
		lines := script()
		time.Sleep(time.Duration(len(lines)+1)*time.Second + time.Millisecond)
		events, _, ok := r.after(0)
		if !ok || len(events) != len(lines)+1 {
			t.Fatalf("%d events, want %d", len(events), len(lines)+1)
		}
		if events[0].GetJoined().GetUser() != mira || events[len(lines)].GetJoined().GetUser() != mira {
			t.Fatal("the script does not begin with Mira")
		}
		rs.exit(r)
	})
}

func TestChattersAnswerAGuest(t *testing.T) {
	inLobby(t, func(t *testing.T, rs *rooms) {
		r := rs.enter(lobby)
		time.Sleep(1500 * time.Millisecond)
		rs.say(lobby, "Bo", "hi there")
		before := newestOf(r)
		time.Sleep(time.Second)
		events, _, _ := r.after(before)
		if len(events) != 1 || events[0].GetMessage().GetText() != "Good to see you here, Bo." {
			t.Fatalf("got %v", events)
		}
		rs.exit(r)
	})
}

func TestTypingTakesLongerForMoreText(t *testing.T) {
	if short, long := typingTime(0), typingTime(100); short < 900*time.Millisecond || long < short || long > 10*time.Second {
		t.Fatalf("%v and %v", short, long)
	}
}
