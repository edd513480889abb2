package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/deflate"
	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// These are the cases of stream_test.go, slow_test.go and clients_test.go, which run on pipes with a fake
// clock, on every path to a real socket, plain and with gzip.

func TestStreamOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		source := newSource(100).append("old", "1", "2")
		s.serve(source, Policy{})
		serve := s.client
		s.client = nil
		progress := make(chan uint64, 100)
		source.progress = func(position uint64) { progress <- position }
		s.client = atPosition(serve, 1)
		e := s.connect(t)
		e.awaitText(t, "first\n\n1\n\n2\n\n")
		source.append("3")
		e.awaitText(t, "first\n\n1\n\n2\n\n3\n\n")
		source.append("4", "end")
		source.log.Close()
		e.expectEnd(t, true, "first\n\n1\n\n2\n\n3\n\n4\n\nend\n\n")
		if e.conn != nil {
			e.expectFIN(t)
		}
		s.expectEnds(t, 1, reason.EndComplete)
		last := uint64(0)
		for len(progress) > 0 {
			if next := <-progress; next < last {
				t.Errorf("progress went from %d to %d", last, next)
			} else {
				last = next
			}
		}
		if last != 6 {
			t.Errorf("progress was %d", last)
		}
	})
}

func TestLongTailOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		source, want := longSource(1500)
		source.log.Close()
		s.serve(source, Policy{})
		s.connect(t).expectEnd(t, true, "first\n\n"+want)
		s.expectEnds(t, 1, reason.EndComplete)
	})
}

// longSource returns a source with frames of all sizes up to 400 bytes.
func longSource(frames int) (s *source, text string) {
	s = newSource(1 << 20)
	var all strings.Builder
	for i := range frames {
		frame := fmt.Sprintf("data: %0*d", 1+i*7%400, i)
		s.append(frame)
		all.WriteString(frame + "\n\n")
	}
	return s, all.String()
}

func TestHeartbeatCommentsOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		source := newSource(100).append("1")
		s.serve(source, Policy{Heartbeat: 5 * time.Millisecond, Comments: true})
		e := s.connect(t)
		// Each iteration waits for heartbeats and appends a frame.
		for i := range 5 {
			if s.gzip {
				e.await(t, "heartbeats", func() bool { return strings.HasSuffix(string(e.raw), strings.Repeat(deflate.Heartbeat, 3)) })
			} else {
				e.await(t, "heartbeats", func() bool { return strings.HasSuffix(string(e.text), ":\n:\n:\n") })
			}
			source.append(fmt.Sprint("frame ", i))
		}
		source.log.Close()
		got := strings.ReplaceAll(e.awaitEnd(t, true), ":\n", "")
		if want := "first\n\n1\n\nframe 0\n\nframe 1\n\nframe 2\n\nframe 3\n\nframe 4\n\n"; got != want {
			t.Errorf("%q", got)
		}
	})
}

func TestHeartbeatEventsOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		source := newSource(100).append("1")
		s.serve(source, Policy{Heartbeat: 5 * time.Millisecond})
		e := s.connect(t)
		for i := range 5 {
			e.await(t, "heartbeats", func() bool { return strings.HasSuffix(string(e.text), "beat\n\nbeat\n\nbeat\n\n") })
			source.append(fmt.Sprint("frame ", i))
		}
		source.log.Close()
		got := strings.ReplaceAll(e.awaitEnd(t, true), "beat\n\n", "")
		if want := "first\n\n1\n\nframe 0\n\nframe 1\n\nframe 2\n\nframe 3\n\nframe 4\n\n"; got != want {
			t.Errorf("%q", got)
		}
	})
}

// Comments end a plain stream. With gzip the client's parser sees none of them.
func TestCommentsInARowOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		source := newSource(100)
		beat := ":" + strings.Repeat(" ", 1022) + "\n"
		s.serve(source, Policy{Heartbeat: time.Millisecond, Comments: true})
		serve := s.client
		s.client = withBlocks(serve, blocks{beat: beat, source: source})
		e := s.connect(t)
		if s.gzip {
			e.await(t, "heartbeats", func() bool { return len(e.raw) > 40*len(deflate.Heartbeat) })
			source.log.Close()
			e.expectEnd(t, true, "first\n\n")
			return
		}
		e.expectEnd(t, true, "first\n\n"+strings.Repeat(beat, 16)+"leave idle\n\n")
		s.expectEnds(t, 1, reason.EndAsked)
	})
}

func TestMaxAgeOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		s.serve(newSource(100).append("1"), Policy{MaxAge: 30 * time.Millisecond})
		began := time.Now()
		var all []*socketClient
		for range 5 {
			all = append(all, s.connect(t))
		}
		for _, e := range all {
			e.expectEnd(t, true, "first\n\n1\n\nleave max_age\n\n")
		}
		if took := time.Since(began); took < 27*time.Millisecond {
			t.Errorf("it took %v only", took)
		}
		s.expectEnds(t, 5, reason.EndAsked)
	})
}

func TestStaleAndLiveOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		source := newSource(100).append("1")
		source.setAndNotify(Status{Stale: true})
		s.serve(source, Policy{})
		e := s.connect(t) // a new client of a stale topic is notified at once
		e.awaitText(t, "first\n\n1\n\nstale\n\n")
		source.setAndNotify(Status{Stale: true}) // is not reported again
		source.setAndNotify(Status{})
		e.awaitText(t, "first\n\n1\n\nstale\n\nlive\n\n")
		source.append("2")
		e.awaitText(t, "first\n\n1\n\nstale\n\nlive\n\n2\n\n")
		source.setAndNotify(Status{Stale: true})
		e.awaitText(t, "first\n\n1\n\nstale\n\nlive\n\n2\n\nstale\n\n")
		source.append("3") // frames are sent while the topic is stale
		e.awaitText(t, "first\n\n1\n\nstale\n\nlive\n\n2\n\nstale\n\n3\n\n")
		source.setAndNotify(Status{Leave: true, Stale: false})
		e.expectEnd(t, true, "first\n\n1\n\nstale\n\nlive\n\n2\n\nstale\n\n3\n\nlive\n\nleave upstream\n\n")
		s.expectEnds(t, 1, reason.EndAsked)
	})
}

func TestLeaveOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		source, want := longSource(500)
		source.set(Status{Leave: true})
		s.serve(source, Policy{})
		s.connect(t).expectEnd(t, true, "first\n\n"+want+"leave upstream\n\n")
		s.expectEnds(t, 1, reason.EndAsked)
	})
}

func TestLaggedOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		source := newSource(3).append("1", "2", "3", "4", "5")
		s.serve(source, Policy{})
		s.client = atPosition(s.client, 1)
		s.connect(t).expectEnd(t, true, "first\n\nleave lagged\n\n")
		s.expectEnds(t, 1, reason.EndAsked)
	})
}

func TestLaggedSkipOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		source := newSource(3).append("1", "2", "3", "4", "5")
		s.serve(source, Policy{Skip: true})
		s.client = atPosition(s.client, 1)
		e := s.connect(t)
		e.awaitText(t, "first\n\nlagged 2\n\n3\n\n4\n\n5\n\n")
		source.append("6", "end")
		source.log.Close()
		e.expectEnd(t, true, "first\n\nlagged 2\n\n3\n\n4\n\n5\n\n6\n\nend\n\n")
		s.expectEnds(t, 1, reason.EndComplete)
	})
}

// A client that never reaches the head of its log can be asked to leave, and notices that its connection
// has ended. Other clients are served meanwhile.
func TestAlwaysBehindOnEveryPath(t *testing.T) {
	for name, endless := range map[string]func(client *Client, source *source){
		"more at each read": func(_ *Client, source *source) {
			source.progress = func(uint64) { source.append("more") }
		},
		"lost at each read": func(client *Client, source *source) {
			client.Policy.Skip = true
			source.progress = func(uint64) { source.append("1", "2", "3") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
				quiet := newSource(100)
				s.serve(quiet, Policy{})
				serve := s.client
				other := s.connect(t)
				other.awaitText(t, "first\n\n")
				s.client = endlessly(s, endless)
				first, second := s.connect(t), s.connect(t)
				for _, e := range []*socketClient{first, second} {
					e.await(t, "much", func() bool { return len(e.text) > 10000 })
				}
				quiet.append("1")
				other.awaitText(t, "first\n\n1\n\n")
				first.close()
				s.expectEnds(t, 1, reason.EndGone)
				s.client = serve
				third := s.connect(t)
				third.awaitText(t, "first\n\n1\n\n")
				if err := s.clients.Drain(t.Context(), 0); err != nil {
					t.Fatal(err)
				}
				if text := second.awaitEnd(t, true); !strings.HasSuffix(text, "leave drain\n\n") {
					t.Error(shown(text))
				}
				third.expectEnd(t, true, "first\n\n1\n\nleave drain\n\n")
			})
		})
	}
}

func endlessly(s *socketServer, endless func(*Client, *source)) func(*http.Request) *Client {
	return func(*http.Request) *Client {
		source := newSource(2).append("1")
		client := &Client{Source: source, Blocks: blocks{source: source}, First: []byte("first\n\n"), Gzip: s.gzip}
		endless(client, source)
		return client
	}
}

func TestDrainOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		source, want := longSource(200)
		s.serve(source, Policy{})
		var all []*socketClient
		for range 5 {
			e := s.connect(t)
			e.awaitCount(t, want[len(want)-20:], 1)
			all = append(all, e)
		}
		// The first is asked at once, the others hours later.
		ctx, cancel := context.WithCancel(t.Context())
		drained := make(chan error, 1)
		go func() { drained <- s.clients.Drain(ctx, 1000*time.Hour) }()
		s.expectEnds(t, 1, reason.EndAsked)
		cancel()
		if err := <-drained; !errors.Is(err, context.Canceled) || s.clients.Len() != 4 {
			t.Fatalf("%v, %d clients are left", err, s.clients.Len())
		}
		source.append("last")
		want += "last\n\n"
		began := time.Now()
		if err := s.clients.Drain(t.Context(), 80*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 60*time.Millisecond {
			t.Errorf("four were asked within %v", took)
		}
		late := s.connect(t) // a later client is asked at once
		late.expectEnd(t, true, "first\n\n"+want+"leave drain\n\n")
		before := strings.TrimSuffix(want, "last\n\n")
		for _, e := range all {
			if got := e.awaitEnd(t, true); got != "first\n\n"+want+"leave drain\n\n" && got != "first\n\n"+before+"leave drain\n\n" {
				t.Errorf("read %s", shown(got))
			}
		}
		s.expectEnds(t, 6, reason.EndAsked)
	})
}

func TestDismissOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		source, want := longSource(200)
		s.serve(source, Policy{})
		plain := s.client
		audiences := []*Audience{{}, {}, {}} // changed, removed, kept
		var all []*socketClient
		for _, audience := range audiences {
			s.client = func(r *http.Request) *Client {
				client := plain(r)
				client.Audience = audience
				return client
			}
			for range 3 {
				e := s.connect(t)
				e.awaitCount(t, want[len(want)-20:], 1)
				all = append(all, e)
			}
		}
		dismissals := []Dismissal{{audiences[0], reason.LeaveReload}, {audiences[1], reason.LeaveRemoved}}
		if err := s.clients.Dismiss(t.Context(), 20*time.Millisecond, dismissals); err != nil {
			t.Fatal(err)
		}
		for i, e := range all[:6] {
			e.expectEnd(t, true, "first\n\n"+want+"leave "+[]string{"reload", "removed"}[i/3]+"\n\n")
		}
		source.append("last")
		for _, e := range all[6:] {
			e.awaitCount(t, "last\n\n", 1)
		}
		s.clients.CutDismissed([]Dismissal{{audiences[2], reason.LeaveReload}})
		for _, e := range all[6:] {
			e.expectEnd(t, false, "first\n\n"+want+"last\n\n")
		}
		s.awaitDone(t)
	})
}

func TestCutOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		source := newSource(100).append("1")
		s.serve(source, Policy{Heartbeat: time.Hour})
		e := s.connect(t)
		e.awaitText(t, "first\n\n1\n\n")
		s.clients.Cut()
		e.expectEnd(t, false, "first\n\n1\n\n")
		s.expectEnds(t, 1, reason.EndCut)
	})
}

func TestCutEndsAStuckWriteOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		source := newSource(100)
		s.serve(source, Policy{WriteTimeout: time.Hour})
		sending := make(chan struct{}, 1000)
		serve := s.client
		s.client = withSource(serve, sendingSource{source, sending})
		e := s.open(t, "") // without reading
		source.noisy()
		<-sending
		s.clients.Cut()
		s.expectEnds(t, 1, reason.EndCut)
		e.start(t, s.gzip)
		e.awaitEnd(t, false)
	})
}

// No client reads, and the write timeout ends the stream.
func TestStuckOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		source := newSource(100).noisy()
		s.serve(source, Policy{WriteTimeout: 100 * time.Millisecond})
		e := s.open(t, "")
		s.expectEnds(t, 1, reason.EndStuck)
		e.start(t, s.gzip)
		e.awaitEnd(t, false)
	})
}

func TestShardSilenceIsNotStuck(t *testing.T) {
	onPaths(t, shardPaths, func(t *testing.T, s *socketServer) {
		source := newSource(100)
		s.serve(source, Policy{WriteTimeout: 150 * time.Millisecond, Heartbeat: 250 * time.Millisecond})
		e := s.connect(t)
		e.awaitCount(t, "beat\n\n", 2)
		source.append("1")
		e.awaitCount(t, "1\n\n", 1)
	})
}

func TestClientGoesAwayOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		s.serve(newSource(100), Policy{})
		e := s.connect(t)
		e.awaitText(t, "first\n\n")
		e.close()
		s.expectEnds(t, 1, reason.EndGone)
	})
}

// Both get the same text.
func TestPlainAndGzipTogetherOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		source, want := longSource(300)
		s.serve(source, Policy{})
		var all []*socketClient
		for i := range 6 {
			s.gzip = i%2 == 0
			all = append(all, s.connect(t))
			all[i].awaitText(t, "first\n\n"+want)
			source.append(fmt.Sprint("more ", i))
			want += fmt.Sprintf("more %d\n\n", i)
		}
		source.log.Close()
		for _, e := range all {
			e.expectEnd(t, true, "first\n\n"+want)
		}
	})
}
