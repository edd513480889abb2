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

// A client gets the first block, the frames in the log, new frames, and the end.
func TestStream(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		source := newSource(100).append("old", "1", "2")
		s.serve(source, Policy{})
		s.client.Position = 1
		var progress []uint64
		source.progress = func(position uint64) { progress = append(progress, position) }
		l := s.connect(t)
		if got := l.got(); got != "first\n\n1\n\n2\n\n" {
			t.Fatalf("%q", got)
		}
		time.Sleep(time.Hour) // nothing is written meanwhile
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

func TestALongTailIsWrittenInBatches(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
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
		s.connect(t).expectEnd(t, true, want.String())
		s.expectEnd(t, reason.EndComplete)
	})
}

func TestHeartbeat(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		source := newSource(100)
		s.serve(source, Policy{Heartbeat: 15 * time.Second, Comments: true})
		l := s.connect(t)
		time.Sleep(40 * time.Second)
		source.append("1")
		time.Sleep(14 * time.Second)
		source.set(Status{Stale: true})
		time.Sleep(16 * time.Second)
		if got := l.timeline(); got != "0s first, 15s :, 30s :, 40s 1, 54s stale, 1m9s :" {
			t.Fatal(got)
		}
	})
}

func TestNoHeartbeat(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		s.serve(newSource(100), Policy{})
		l := s.connect(t)
		time.Sleep(24 * time.Hour)
		if got := l.timeline(); got != "0s first" {
			t.Fatal(got)
		}
	})
}

// Two of eight clients buffer comments until an event comes. After 16 KiB of comments in a row the client
// is asked to reconnect.
func TestCommentsInARow(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		source := newSource(100)
		s.serve(source, Policy{Heartbeat: time.Second, Comments: true})
		beat := ":" + strings.Repeat(" ", 1022) + "\n" // 16 of them are 16 KiB
		s.client.Blocks = blocks{beat: beat}
		l := s.connect(t)
		time.Sleep(16*time.Second + time.Millisecond)
		source.append("1")
		l.expectEnd(t, true, "first\n\n"+strings.Repeat(beat, 16)+"1\n\n"+strings.Repeat(beat, 16)+"leave idle\n\n")
		if took := time.Since(l.began); took < 33*time.Second || took > 34*time.Second {
			t.Errorf("it took %v", took)
		}
		s.expectEnd(t, reason.EndAsked)
	})
}

func TestHeartbeatEventsAreUnlimited(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		s.serve(newSource(100), Policy{Heartbeat: time.Second})
		s.client.Blocks = blocks{beat: strings.Repeat("x", 1022) + "\n\n"}
		l := s.connect(t)
		time.Sleep(100*time.Second + time.Millisecond)
		if got := len(l.got()); got != len("first\n\n")+100*1024 {
			t.Fatal(got)
		}
	})
}

// A stream ends up to a tenth before its maximum age, so that clients that came together do not reconnect
// together.
func TestMaxAge(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		source := newSource(100).append("1")
		s.serve(source, Policy{MaxAge: 100 * time.Second})
		times := map[time.Duration]bool{}
		var all []*pipeClient
		for range 20 {
			all = append(all, s.connect(t))
		}
		for _, l := range all {
			l.expectEnd(t, true, "first\n\n1\n\nleave max_age\n\n")
			s.expectEnd(t, reason.EndAsked)
			at, err := time.ParseDuration(strings.Fields(l.times[len(l.times)-1])[0])
			if err != nil || at < 90*time.Second || at > 100*time.Second {
				t.Errorf("it was asked after %v, %v", at, err)
			}
			times[at] = true
		}
		if len(times) < 15 {
			t.Errorf("20 clients were asked at %d different times", len(times))
		}
	})
}

func TestStaleAndLive(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		source := newSource(100).append("1")
		source.set(Status{Stale: true})
		s.serve(source, Policy{})
		l := s.connect(t) // a new client of a stale topic is notified at once
		time.Sleep(time.Second)
		source.set(Status{Stale: true}) // is not reported again
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

// The RPC comes between the client's look at the status and its look at the log.
func TestLiveComesBeforeTheFramesOfANewRPC(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		source := newSource(100).append("1")
		source.set(Status{Stale: true})
		s.serve(source, Policy{Heartbeat: time.Minute})
		l := s.connect(t)
		synctest.Wait()
		source.onceAsked(func() {
			source.set(Status{})
			source.append("2")
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := l.got(); !strings.HasSuffix(got, "live\n\n2\n\n") {
			t.Fatalf("%q", got)
		}
	})
}

func TestAClientReadsTheLogBeforeItLeaves(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		source := newSource(100)
		s.serve(source, Policy{})
		l := s.connect(t)
		synctest.Wait()
		source.append("1", "2")
		source.set(Status{Leave: true})
		l.expectEnd(t, true, "first\n\n1\n\n2\n\nleave upstream\n\n")
		s.expectEnd(t, reason.EndAsked)
	})
}

// The stream has ended when the client is asked.
func TestNoClientIsAskedToLeaveAfterTheEnd(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		source := newSource(100).append(strings.Repeat("x", 2*batchBytes), "end")
		source.log.Close()
		source.set(Status{Leave: true})
		s.serve(source, Policy{})
		s.clients.Cut() // later clients are asked to leave
		s.connect(t).expectEnd(t, true, "first\n\n"+strings.Repeat("x", 2*batchBytes)+"\n\nend\n\n")
		s.expectEnd(t, reason.EndComplete)
	})
}

func TestClientGoesAway(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		s.serve(newSource(100), Policy{Heartbeat: time.Second})
		l := s.connect(t)
		time.Sleep(10 * time.Second)
		l.cancel()
		s.expectEnd(t, reason.EndGone)
		synctest.Wait()
		if n := s.clients.Len(); n != 0 {
			t.Errorf("%d clients are left", n)
		}
	})
}

// Without blocks of the client's own, the text is the log.
func TestOwnBlocksAreBetweenFrames(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		source := newSource(100000)
		s.serve(source, Policy{Heartbeat: 10 * time.Millisecond})
		s.client.Blocks = blocks{beat: "beat\n\n"}
		l := s.connect(t)
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

// The Stream finds nothing to write, and the request comes before it waits.
func TestAClientAskedToLeaveBetweenStepAndWaitLeaves(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		source := newSource(100)
		s.serve(source, Policy{})
		s.client.Source = &interruptedSource{source: source, onStatus: func() {
			s.clients.mu.Lock()
			defer s.clients.mu.Unlock()
			for served := range s.clients.streams {
				served.askToLeave(reason.LeaveDrain)
			}
		}}
		s.connect(t).expectEnd(t, true, "first\n\nleave drain\n\n")
		s.expectEnd(t, reason.EndAsked)
	})
}

// interruptedSource calls onStatus once, in Status.
type interruptedSource struct {
	*source

	once     sync.Once
	onStatus func()
}

// Status is the last call in a step that finds nothing to write.
func (i *interruptedSource) Status() (Status, <-chan struct{}) {
	i.once.Do(i.onStatus)
	return i.source.Status()
}

// The Stream finds nothing to write, and the client is parted before it waits. No frame would wake it,
// since its old log waits for another client.
func TestAClientPartedBetweenStepAndWaitMoves(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		next := newSource(100).append("1")
		next.log.Close()
		p := &partingSource{source: newSource(100), next: next}
		s.serve(p.source, Policy{})
		s.client.Source, s.client.Follower = p, p
		s.connect(t).expectEnd(t, true, "first\n\n1\n\n")
		s.expectEnd(t, reason.EndComplete)
	})
}

// partingSource parts its client from its log at the end of a step.
type partingSource struct {
	*source

	next   *source
	once   sync.Once
	parted bool
}

// Status is the last call in a step that finds nothing to write.
func (p *partingSource) Status() (Status, <-chan struct{}) {
	p.once.Do(func() {
		p.parted = true
		p.log.Notify()
	})
	return p.source.Status()
}

// Pass passes nothing.
func (*partingSource) Pass(position uint64) (next uint64, more bool) { return position, false }

// Parted returns true until the client has moved.
func (p *partingSource) Parted() bool { return p.parted }

// Move moves to the next log, once.
func (p *partingSource) Move() (position uint64, moved bool, err error) {
	if !p.parted {
		return 0, false, nil
	}
	p.parted, p.source = false, p.next
	return 0, true, nil
}
