package delivery

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// atPosition serves clients from a position.
func atPosition(serve func(*http.Request) *Client, position uint64) func(*http.Request) *Client {
	return func(r *http.Request) *Client {
		client := serve(r)
		client.Position = position
		return client
	}
}

func withBlocks(serve func(*http.Request) *Client, blocks Blocks) func(*http.Request) *Client {
	return func(r *http.Request) *Client {
		client := serve(r)
		client.Blocks = blocks
		return client
	}
}

func withSource(serve func(*http.Request) *Client, source Source) func(*http.Request) *Client {
	return func(r *http.Request) *Client {
		client := serve(r)
		client.Source = source
		return client
	}
}

// setAndNotify changes the status like the owner of a log does: it notifies the log's watchers.
func (s *source) setAndNotify(status Status) {
	s.set(status)
	s.log.Notify()
}

// sendingSource sends to a channel when Sending is called.
type sendingSource struct {
	*source
	sending chan<- struct{}
}

// Sending sends to the channel.
func (s sendingSource) Sending(uint64) { s.sending <- struct{}{} }

// noise is a frame that cannot be compressed and has no newline.
var noise = func() string {
	bytes := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{1}).Read(bytes) //nolint:errcheck // never fails
	for i, b := range bytes {
		if b == '\n' {
			bytes[i] = 'n'
		}
	}
	return string(bytes)
}()

// noisy appends more frames than a socket takes without a reader.
func (s *source) noisy() *source {
	for range 24 {
		s.append(noise)
	}
	return s
}

// scriptedChain is a Source and Follower with a chain of logs.
type scriptedChain struct {
	*source
	asked func(chain *scriptedChain) // called by Status, that is at the head of a log; may be nil
	pass  func(position uint64) (next uint64, more bool)

	mu    sync.Mutex
	links []link
	at    int
	err   error // returned by Move
}

// link is a log, and the position at which a client enters it.
type link struct {
	log   *replay.Log
	start uint64
}

func newScriptedChain() *scriptedChain {
	r := &scriptedChain{source: newSource(1 << 20)}
	r.links = []link{{r.log, 0}}
	return r
}

// addLog adds a log that begins with frames which the client must not see, and returns it.
func (r *scriptedChain) addLog(skipped int) *replay.Log {
	log := replay.New(replay.Params{Events: 1 << 20, Bytes: 1 << 30})
	for range skipped {
		log.Append([]byte("skipped\n\n"), "")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.links = append(r.links, link{log, uint64(skipped)})
	return log
}

// Log returns the client's current log.
func (r *scriptedChain) Log() *replay.Log {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.links[r.at].log
}

// Status returns the status that the test has set.
func (r *scriptedChain) Status() (Status, <-chan struct{}) {
	if r.asked != nil {
		r.asked(r)
	}
	return r.source.Status()
}

// Pass calls the test's pass.
func (r *scriptedChain) Pass(position uint64) (next uint64, more bool) {
	if r.pass == nil {
		return position, false
	}
	return r.pass(position)
}

// Parted returns false.
func (*scriptedChain) Parted() bool { return false }

// Move moves to the next log.
func (r *scriptedChain) Move() (position uint64, moved bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil || r.at+1 == len(r.links) {
		return 0, false, r.err
	}
	r.at++
	return r.links[r.at].start, true, nil
}

// serveChain serves a chain to one client.
func (s *socketServer) serveChain(r *scriptedChain, policy Policy) {
	s.serve(r.source, policy)
	serve := s.client
	s.client = func(request *http.Request) *Client {
		client := serve(request)
		client.Source, client.Follower = r, r
		return client
	}
}

func put(log *replay.Log, frames ...string) {
	for _, frame := range frames {
		log.Append([]byte(frame+"\n\n"), "")
	}
}

// The logs grow while the client moves.
func TestClientsMoveThroughLogsOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		r := newScriptedChain()
		s.serveChain(r, Policy{})
		e := s.connect(t)
		var want strings.Builder
		want.WriteString("first\n\n")
		log := r.log
		for i := range 20 {
			var writing sync.WaitGroup
			next := r.addLog(i % 3)
			writing.Go(func() {
				for j := range 50 {
					put(next, fmt.Sprint("next ", i, " ", j))
				}
			})
			put(log, fmt.Sprint("end ", i))
			log.Close()
			fmt.Fprintf(&want, "end %d\n\n", i)
			writing.Wait()
			for j := range 50 {
				fmt.Fprintf(&want, "next %d %d\n\n", i, j)
			}
			if i%2 == 0 {
				e.awaitText(t, want.String())
			}
			log = next
		}
		log.Close()
		e.expectEnd(t, true, want.String())
		s.expectEnds(t, 1, reason.EndComplete)
	})
}

// The log that a client moves to ends and is followed by another before its group watches it.
func TestClientsMoveTwiceAtOnceOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		r := newScriptedChain()
		second := r.addLog(1)
		var third *replay.Log
		var once, arrival sync.Once
		arrived := make(chan struct{})
		r.asked = func(r *scriptedChain) { // at the head of a log
			switch r.Log() {
			case r.log:
			case second:
				once.Do(func() {
					third = r.addLog(2)
					second.Close()
				})
			default:
				arrival.Do(func() { close(arrived) })
			}
		}
		s.serveChain(r, Policy{})
		e := s.connect(t)
		e.awaitText(t, "first\n\n")
		put(r.log, "1")
		r.log.Close()
		e.awaitText(t, "first\n\n1\n\n")
		<-arrived
		put(third, "3")
		e.awaitText(t, "first\n\n1\n\n3\n\n")
	})
}

func TestAMoveWithoutRoomShedsTheClientOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		r := newScriptedChain()
		r.err = errors.New("no room")
		r.append("1")
		r.log.Close()
		s.serveChain(r, Policy{})
		s.connect(t).expectEnd(t, true, "first\n\n1\n\nleave shed\n\n")
		s.expectEnds(t, 1, reason.EndAsked)
	})
}

// A frame is appended just after all frames before it were passed.
func TestFramesAppendedWhilePassingAreCheckedOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		r := newScriptedChain()
		const passed = 20
		r.pass = func(position uint64) (next uint64, more bool) {
			if position >= passed {
				return position, false
			}
			next = r.log.Newest()
			if next == passed {
				r.append("new")
				return next, false
			}
			r.append("known")
			return next, true
		}
		s.serveChain(r, Policy{})
		e := s.connect(t)
		e.awaitText(t, "first\n\nnew\n\n")
		r.log.Close()
		e.expectEnd(t, true, "first\n\nnew\n\n")
	})
}

// A client passes frames in each log, at various places of a compression chain. Pass is not called again
// once it has returned more = false.
func TestKnownFramesArePassedOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		const links, frames = 12, 40
		passed := func(link int) int { return 7 * link % 24 }
		r := newScriptedChain()
		passedLink := -1 // the link in which Pass has returned more = false
		r.pass = func(position uint64) (next uint64, more bool) {
			if passedLink == r.at {
				t.Errorf("link %d: Pass is called once more, at %d", r.at, position)
			}
			log, until := r.links[r.at].log, r.links[r.at].start+uint64(passed(r.at))
			if next = max(position, min(until, log.Newest())); next < until {
				return next, true
			}
			passedLink = r.at
			return next, false
		}
		s.serveChain(r, Policy{})
		e := s.connect(t)
		want := "first\n\n"
		log := r.log
		for at := range links {
			for i := range frames {
				frame := fmt.Sprintf("data: %d of %d, the same words again and again", i, at)
				// Append one by one: frames that are read together are compressed together.
				if put(log, frame); i >= passed(at) {
					want += frame + "\n\n"
				}
				e.awaitText(t, want)
			}
			ended := log
			if at < links-1 {
				log = r.addLog(30 * at)
			}
			ended.Close()
		}
		e.expectEnd(t, true, want)
	})
}

// The last block must have the client's position in the log that it moved to.
func TestAClientLeavesFromTheLogItMovedTo(t *testing.T) {
	r := newScriptedChain()
	r.append("1")
	r.addLog(5)
	r.log.Close()
	client := &Client{Source: r, Blocks: blocks{source: r.source}, Follower: r}
	session := newSession(client, newEncoder(false, false), 0)
	session.step(0) // the first block
	session.step(0)
	session.written(0)
	session.askToLeave(reason.LeaveDrain)
	written, end := session.step(0)
	if got := string(slices.Concat(written...)); got != "leave drain\n\n" || end != reason.EndAsked || client.Position != 5 {
		t.Errorf("got %q, %s, at %d", got, end, client.Position)
	}
}

// Watches is asked once in each log. A client that takes gzip reports its progress in any case.
func TestWatchingSourcesGetProgress(t *testing.T) {
	for _, test := range []struct {
		gzip     bool
		watches  []bool // by link
		reported []uint64
	}{
		{false, []bool{false, false}, nil},
		{false, []bool{true, false}, []uint64{0, 1}}, // 0 is the first block
		{false, []bool{false, true}, []uint64{1}},
		{true, []bool{false, false}, []uint64{0, 1, 1}},
	} {
		r := &watchedChain{scriptedChain: newScriptedChain(), watches: test.watches}
		put(r.log, "a")
		put(r.addLog(0), "b")
		r.log.Close()
		client := &Client{Source: r, Blocks: blocks{source: r.source}, Follower: r, Gzip: test.gzip}
		session := newSession(client, newEncoder(test.gzip, false), 0)
		for range 3 { // the first block, a, b
			before := client.Frames
			if session.step(0); client.Frames != before {
				t.Error("unwritten frames are counted")
			}
			session.written(0)
		}
		if !slices.Equal(r.sending, test.reported) || !slices.Equal(r.progress, test.reported) || client.Frames != 2 {
			t.Errorf("gzip %v, watched %v: sending %v, progress %v, %d frames, want %v", test.gzip, test.watches, r.sending, r.progress, client.Frames, test.reported)
		}
	}
}

// Frames that the client already has, or that are empty, are progress, for which a pump may wait. They do
// not count as sent.
func TestPassedFramesAreProgress(t *testing.T) {
	for name, frame := range map[string]string{"passed": "a", "without bytes": ""} {
		r := &watchedChain{scriptedChain: newScriptedChain(), watches: []bool{true}}
		r.pass = func(position uint64) (next uint64, more bool) { return position + uint64(len(frame)), false }
		client := &Client{Source: r, Blocks: blocks{source: r.source}, Follower: r}
		session := newSession(client, newEncoder(false, false), 0)
		session.step(0) // the first block
		r.log.Append([]byte(frame), "")
		if written, end := session.step(0); len(written) > 0 || end != "" || !slices.Equal(r.progress, []uint64{1}) || client.Frames != 0 {
			t.Errorf("%s: wrote %q, end %q, progress %v, %d frames", name, written, end, r.progress, client.Frames)
		}
	}
}

// A frame must not refer to the frames before the client's position, which it does not have.
func TestClientsMoveIntoACompressionChainOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		r := newScriptedChain()
		s.serveChain(r, Policy{})
		e := s.connect(t)
		want := "first\n\n"
		e.awaitText(t, want)
		log := r.log
		for at := range 3 {
			next := r.addLog(10)
			for i := range 5 {
				frame := fmt.Sprint("skipped skipped ", at, " ", i) // similar to the frames that the client does not see
				put(log, frame)
				want += frame + "\n\n"
				e.awaitText(t, want)
			}
			log.Close()
			log = next
		}
		log.Close()
		e.expectEnd(t, true, want)
	})
}

// watchedChain is a chain whose source records Sending and Progress.
type watchedChain struct {
	*scriptedChain

	watches           []bool // by link
	sending, progress []uint64
}

// Watches returns what the test has set for the link.
func (r *watchedChain) Watches() bool { return r.watches[r.at] }

// Sending records the position.
func (r *watchedChain) Sending(position uint64) { r.sending = append(r.sending, position) }

// Progress records the position.
func (r *watchedChain) Progress(position uint64) { r.progress = append(r.progress, position) }
