package delivery

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// From the first block over what the log holds to what comes and to the end.
func TestStream(t *testing.T) {
	protocols(t, func(t *testing.T, s *site) {
		source := newSource(100).append("old", "1", "2")
		s.serve(source, Policy{})
		s.client.Position = 1
		var progress []uint64
		source.progress = func(position uint64) { progress = append(progress, position) }
		l := s.listen(t)
		if got := l.got(); got != "first\n\n1\n\n2\n\n" {
			t.Fatalf("%q", got)
		}
		time.Sleep(time.Hour) // nothing is said where nothing is to be said
		source.append("3")
		if got := l.got(); got != "first\n\n1\n\n2\n\n3\n\n" {
			t.Fatalf("%q", got)
		}
		source.append("4", "end")
		source.log.Close()
		l.expectEnd(t, true, "first\n\n1\n\n2\n\n3\n\n4\n\nend\n\n")
		s.expectEnd(t, reason.EndComplete)
		synctest.Wait()
		if s.clients.Len() != 0 || progress[0] != 1 || progress[len(progress)-1] != 6 {
			t.Errorf("%d clients are left, progress was %v", s.clients.Len(), progress)
		}
	})
}

// A long tail comes whole, in batches.
func TestLongTail(t *testing.T) {
	protocols(t, func(t *testing.T, s *site) {
		source := newSource(100000)
		var want strings.Builder
		want.WriteString("first\n\n")
		for i := range 5000 {
			frame := fmt.Sprintf("data: %0*d", 1+i*7%400, i)
			source.append(frame)
			want.WriteString(frame + "\n\n")
		}
		source.log.Close()
		s.serve(source, Policy{})
		s.listen(t).expectEnd(t, true, want.String())
		s.expectEnd(t, reason.EndComplete)
	})
}

func TestHeartbeat(t *testing.T) {
	protocols(t, func(t *testing.T, s *site) {
		source := newSource(100)
		s.serve(source, Policy{Heartbeat: 15 * time.Second, Comments: true})
		l := s.listen(t)
		time.Sleep(40 * time.Second)
		source.append("1")
		time.Sleep(14 * time.Second)
		source.set(Status{Stale: true})
		time.Sleep(16 * time.Second)
		if got := l.moments(); got != "0s first, 15s :, 30s :, 40s 1, 54s stale, 1m9s :" {
			t.Fatal(got)
		}
	})
}

func TestNoHeartbeat(t *testing.T) {
	protocols(t, func(t *testing.T, s *site) {
		s.serve(newSource(100), Policy{})
		l := s.listen(t)
		time.Sleep(24 * time.Hour)
		if got := l.moments(); got != "0s first" {
			t.Fatal(got)
		}
	})
}

// Two clients of eight buffer comments until an event comes: 16 KiB of them
// in a row, and the client is asked to come back.
func TestCommentsInARow(t *testing.T) {
	protocols(t, func(t *testing.T, s *site) {
		source := newSource(100)
		s.serve(source, Policy{Heartbeat: time.Second, Comments: true})
		beat := ":" + strings.Repeat(" ", 1022) + "\n" // 16 of them are 16 KiB
		s.client.Blocks = blocks{beat: beat}
		l := s.listen(t)
		time.Sleep(16*time.Second + time.Millisecond)
		source.append("1")
		l.expectEnd(t, true, "first\n\n"+strings.Repeat(beat, 16)+"1\n\n"+strings.Repeat(beat, 16)+"leave idle\n\n")
		if took := time.Since(l.began); took < 33*time.Second || took > 34*time.Second {
			t.Errorf("it took %v", took)
		}
		s.expectEnd(t, reason.EndAsked)
	})
}

func TestHeartbeatEventsMayBeMany(t *testing.T) {
	protocols(t, func(t *testing.T, s *site) {
		s.serve(newSource(100), Policy{Heartbeat: time.Second})
		s.client.Blocks = blocks{beat: strings.Repeat("x", 1022) + "\n\n"}
		l := s.listen(t)
		time.Sleep(100*time.Second + time.Millisecond)
		if got := len(l.got()); got != len("first\n\n")+100*1024 {
			t.Fatal(got)
		}
	})
}

// A stream ends at its age, or up to a tenth before, so that clients that came
// together part.
func TestMaxAge(t *testing.T) {
	protocols(t, func(t *testing.T, s *site) {
		source := newSource(100).append("1")
		s.serve(source, Policy{MaxAge: 100 * time.Second})
		times := map[time.Duration]bool{}
		var all []*listener
		for range 20 {
			all = append(all, s.listen(t))
		}
		for _, l := range all {
			l.expectEnd(t, true, "first\n\n1\n\nleave max_age\n\n")
			s.expectEnd(t, reason.EndAsked)
			at, err := time.ParseDuration(strings.Fields(l.times[len(l.times)-1])[0])
			if err != nil || at < 90*time.Second || at > 100*time.Second {
				t.Errorf("it was told after %v, %v", at, err)
			}
			times[at] = true
		}
		if len(times) < 15 {
			t.Errorf("20 clients were told at %d times", len(times))
		}
	})
}

func TestStaleAndLive(t *testing.T) {
	protocols(t, func(t *testing.T, s *site) {
		source := newSource(100).append("1")
		source.set(Status{Stale: true})
		s.serve(source, Policy{})
		l := s.listen(t) // a client that comes while it is stale hears so at once
		time.Sleep(time.Second)
		source.set(Status{Stale: true}) // once
		time.Sleep(time.Second)
		source.set(Status{})
		source.append("2")
		time.Sleep(time.Second)
		source.set(Status{Stale: true})
		synctest.Wait()
		source.set(Status{})
		if got := l.got(); got != "first\n\n1\n\nstale\n\nlive\n\n2\n\nstale\n\nlive\n\n" {
			t.Fatalf("%q", got)
		}
	})
}

// A client that is to leave reads what the log holds, and is told then.
func TestLeave(t *testing.T) {
	protocols(t, func(t *testing.T, s *site) {
		source := newSource(100)
		s.serve(source, Policy{})
		l := s.listen(t)
		synctest.Wait()
		source.append("1", "2")
		source.set(Status{Leave: true})
		l.expectEnd(t, true, "first\n\n1\n\n2\n\nleave upstream\n\n")
		s.expectEnd(t, reason.EndAsked)
	})
}

// A stream that has ended is over, also for a client that is asked to leave just
// then.
func TestNoClientIsAskedToLeaveAfterTheEnd(t *testing.T) {
	protocols(t, func(t *testing.T, s *site) {
		source := newSource(100).append(strings.Repeat("x", 2*batch), "end")
		source.log.Close()
		source.set(Status{Leave: true})
		s.serve(source, Policy{})
		s.clients.Cut() // without clients: later ones are asked to leave
		s.listen(t).expectEnd(t, true, "first\n\n"+strings.Repeat("x", 2*batch)+"\n\nend\n\n")
		s.expectEnd(t, reason.EndComplete)
	})
}

func TestClientGoesAway(t *testing.T) {
	protocols(t, func(t *testing.T, s *site) {
		s.serve(newSource(100), Policy{Heartbeat: time.Second})
		l := s.listen(t)
		time.Sleep(10 * time.Second)
		l.cancel()
		s.expectEnd(t, reason.EndGone)
		synctest.Wait()
		if n := s.clients.Len(); n != 0 {
			t.Errorf("%d clients are left", n)
		}
	})
}

// Blocks of a client's own stand between frames, never in one: what remains
// without them is the log.
func TestOwnBlocksStandBetweenFrames(t *testing.T) {
	protocols(t, func(t *testing.T, s *site) {
		source := newSource(100000)
		s.serve(source, Policy{Heartbeat: 10 * time.Millisecond})
		s.client.Blocks = blocks{beat: "beat\n\n"}
		l := s.listen(t)
		var want []string
		for i := range 300 {
			frame := fmt.Sprintf("data: %d %s", i, strings.Repeat("x", i*97%20000))
			want = append(want, frame)
			source.append(frame)
			source.set(Status{Stale: i%7 == 0})
			time.Sleep(time.Duration(i%23) * time.Millisecond)
		}
		source.log.Close()
		<-l.done
		var got []string
		own := map[string]bool{"first": true, "beat": true, "stale": true, "live": true}
		for block := range strings.SplitSeq(strings.TrimSuffix(l.text.String(), "\n\n"), "\n\n") {
			if !own[block] {
				got = append(got, block)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d blocks, want %d", len(got), len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("block %d is %q", i, got[i])
			}
		}
	})
}

// A client that is asked to leave when its step is over, and that does not wait yet, hears of it
// all the same.
func TestARequestToLeaveBetweenTheStepAndTheWait(t *testing.T) {
	protocols(t, func(t *testing.T, s *site) {
		source := newSource(100)
		s.serve(source, Policy{})
		s.client.Source = &interrupted{source: source, at: func() {
			s.clients.mu.Lock()
			defer s.clients.mu.Unlock()
			for served := range s.clients.streams {
				served.tell(reason.LeaveDrain)
			}
		}}
		s.listen(t).expectEnd(t, true, "first\n\nleave drain\n\n")
		s.expectEnd(t, reason.EndAsked)
	})
}

// interrupted is a source at whose status something happens once.
type interrupted struct {
	*source

	once sync.Once
	at   func()
}

// Status is asked last in a step that finds nothing to write.
func (i *interrupted) Status() (Status, <-chan struct{}) {
	i.once.Do(i.at)
	return i.source.Status()
}

// A client that is parted when its step is over, and that does not wait yet, moves all the same. No frame would wake it: its old log
// waits for another client.
func TestAPartingBetweenTheStepAndTheWait(t *testing.T) {
	protocols(t, func(t *testing.T, s *site) {
		next := newSource(100).append("1")
		next.log.Close()
		p := &parting{source: newSource(100), next: next}
		s.serve(p.source, Policy{})
		s.client.Source, s.client.Follower = p, p
		s.listen(t).expectEnd(t, true, "first\n\n1\n\n")
		s.expectEnd(t, reason.EndComplete)
	})
}

// parting is a source whose client is parted from its log at the end of a step.
type parting struct {
	*source

	next   *source
	once   sync.Once
	parted bool
}

// Status is asked last in a step that finds nothing to write.
func (p *parting) Status() (Status, <-chan struct{}) {
	p.once.Do(func() {
		p.parted = true
		p.log.Notify()
	})
	return p.source.Status()
}

// Pass passes nothing.
func (*parting) Pass(position uint64) (next uint64, more bool) { return position, false }

// Parted is so until the client has moved.
func (p *parting) Parted() bool { return p.parted }

// Move goes to the next log, once.
func (p *parting) Move() (position uint64, moved bool, err error) {
	if !p.parted {
		return 0, false, nil
	}
	p.parted, p.source = false, p.next
	return 0, true, nil
}
