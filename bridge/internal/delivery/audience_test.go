package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// connectIn connects a client of an audience.
func (s *pipeServer) connectIn(t *testing.T, audience *Audience) *pipeClient {
	t.Helper()
	s.client.Audience = audience
	l := s.connect(t)
	synctest.Wait()
	return l
}

// Dismiss spreads the requests evenly over the grace. Each client gets the reason of its audience, and
// other clients are not asked.
func TestDismiss(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		changed, removed := &Audience{}, &Audience{}
		source := newSource(100).append("1")
		s.serve(source, Policy{})
		leaving := map[*pipeClient]string{}
		var staying []*pipeClient
		for range 2 {
			leaving[s.connectIn(t, changed)] = "reload"
			leaving[s.connectIn(t, removed)] = "removed"
			staying = append(staying, s.connectIn(t, &Audience{}), s.connectIn(t, nil))
		}
		if err := s.clients.Dismiss(t.Context(), 4*time.Second, []Dismissal{{changed, reason.LeaveReload}, {removed, reason.LeaveRemoved}}); err != nil {
			t.Fatal(err)
		}
		var times []string
		ends := map[reason.End]int{}
		for l, reason := range leaving {
			l.expectEnd(t, true, "first\n\n1\n\nleave "+reason+"\n\n")
			times = append(times, strings.Fields(l.times[len(l.times)-1])[0])
			ends[<-s.ends]++
		}
		if ends[reason.EndAsked] != 2 || ends[reason.EndComplete] != 2 {
			t.Errorf("the streams ended %v", ends)
		}
		slices.Sort(times)
		if got := fmt.Sprint(times); got != "[0s 1s 2s 3s]" {
			t.Errorf("asked at %s", got)
		}

		s.connectIn(t, changed).expectEnd(t, true, "first\n\n1\n\nleave reload\n\n") // a client that comes later is asked at once
		s.expectEnd(t, reason.EndAsked)
		source.append("2")
		for _, l := range staying {
			if got := l.got(); got != "first\n\n1\n\n2\n\n" {
				t.Errorf("the client that stays got %q", got)
			}
		}
		if n := s.clients.Len(); n != len(staying) {
			t.Errorf("%d clients are left", n)
		}
	})
}

// Each client is asked once, and a drain does not wait for a dismissal.
func TestDismissWhileDraining(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		changed := &Audience{}
		s.serve(newSource(100), Policy{})
		first, second := s.connectIn(t, changed), s.connectIn(t, changed)
		dismissed := make(chan error)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { dismissed <- s.clients.Dismiss(ctx, time.Hour, []Dismissal{{changed, reason.LeaveReload}}) }()
		synctest.Wait()
		if err := s.clients.Drain(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		got := []string{first.got(), second.got()}
		slices.Sort(got)
		if fmt.Sprintf("%q", got) != `["first\n\nleave drain\n\n" "first\n\nleave reload\n\n"]` {
			t.Errorf("got %q", got)
		}
		cancel()
		if err := <-dismissed; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestCutDismissed(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		changed := &Audience{}
		source := newSource(100).append("1")
		s.serve(source, Policy{})
		leaves, stays := s.connectIn(t, changed), s.connectIn(t, &Audience{})
		s.clients.CutDismissed([]Dismissal{{changed, reason.LeaveReload}})
		leaves.expectEnd(t, false, "first\n\n1\n\n")
		s.expectEnd(t, reason.EndCut)
		source.append("2")
		if got := stays.got(); got != "first\n\n1\n\n2\n\n" {
			t.Errorf("the client that stays got %q", got)
		}
	})
}

// The log has ended, and there is no room for the next one.
func TestAClientLeavesForItsReasonWhenAMoveFails(t *testing.T) {
	source := newSource(100)
	source.log.Close()
	session := newSession(&Client{Source: source, Blocks: blocks{source: source}, Follower: noRoom{}}, newEncoder(false, false), 0)
	session.step(0) // the first block
	session.askToLeave(reason.LeaveRemoved)
	session.askToLeave(reason.LeaveDrain) // has no effect
	written, end := session.step(0)
	if got := string(slices.Concat(written...)); got != "leave removed\n\n" || end != reason.EndComplete {
		t.Errorf("got %q, %s", got, end)
	}
}

// noRoom is a Follower without room for the next log.
type noRoom struct{}

// Pass passes nothing.
func (noRoom) Pass(position uint64) (next uint64, more bool) { return position, false }

// Parted returns false.
func (noRoom) Parted() bool { return false }

// Move fails.
func (noRoom) Move() (position uint64, moved bool, err error) {
	return 0, false, errors.New("no room")
}
