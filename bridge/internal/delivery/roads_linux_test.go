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

// behind starts what is served at a position.
func behind(serve func(*http.Request) *Client, position uint64) func(*http.Request) *Client {
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

// tell sets the status as the owner of a log does: its watchers hear of it.
func (s *source) tell(status Status) {
	s.set(status)
	s.log.Notify()
}

// sendingSource tells when something is to be sent.
type sendingSource struct {
	*source
	sending chan<- struct{}
}

// Sending tells.
func (s sendingSource) Sending(uint64) { s.sending <- struct{}{} }

// noise is a frame that cannot be compressed, and holds no newline.
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

// noisy appends more than sockets take whose reader does not read.
func (s *source) noisy() *source {
	for range 24 {
		s.append(noise)
	}
	return s
}

// road is a source whose log is followed by others.
type road struct {
	*source
	asked func(road *road) // of the status: at the head of a log; may be nil
	pass  func(position uint64) (next uint64, more bool)

	mu   sync.Mutex
	legs []leg
	at   int
	err  error // of Move
}

// leg is a log, and where a client comes into it.
type leg struct {
	log   *replay.Log
	start uint64
}

func newRoad() *road {
	r := &road{source: newSource(1 << 20)}
	r.legs = []leg{{r.log, 0}}
	return r
}

// lead adds a log that begins with frames which the client is not to see, and
// returns it. It is not closed.
func (r *road) lead(skipped int) *replay.Log {
	log := replay.New(replay.Params{Events: 1 << 20, Bytes: 1 << 30})
	for range skipped {
		log.Append([]byte("skipped\n\n"), "")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.legs = append(r.legs, leg{log, uint64(skipped)})
	return log
}

// Log returns the one that the client has come to.
func (r *road) Log() *replay.Log {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.legs[r.at].log
}

// Status is as the test has set it.
func (r *road) Status() (Status, <-chan struct{}) {
	if r.asked != nil {
		r.asked(r)
	}
	return r.source.Status()
}

// Pass is as the test has set it.
func (r *road) Pass(position uint64) (next uint64, more bool) {
	if r.pass == nil {
		return position, false
	}
	return r.pass(position)
}

// Parted is never so.
func (*road) Parted() bool { return false }

// Move goes to the next log.
func (r *road) Move() (position uint64, moved bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil || r.at+1 == len(r.legs) {
		return 0, false, r.err
	}
	r.at++
	return r.legs[r.at].start, true, nil
}

// take has a road served, to one client.
func (s *stand) take(r *road, policy Policy) {
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

// A client goes from log to log, while they grow.
func TestWaysMove(t *testing.T) {
	onWays(t, ways, func(t *testing.T, s *stand) {
		r := newRoad()
		s.take(r, Policy{})
		e := s.listen(t)
		var want strings.Builder
		want.WriteString("first\n\n")
		log := r.log
		for i := range 20 {
			var writing sync.WaitGroup
			next := r.lead(i % 3)
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

// A log that a client moves to may end, and be followed by another, before it is
// watched.
func TestWaysMoveTwiceAtOnce(t *testing.T) {
	onWays(t, ways, func(t *testing.T, s *stand) {
		r := newRoad()
		second := r.lead(1)
		var third *replay.Log
		var once, arrival sync.Once
		arrived := make(chan struct{})
		r.asked = func(r *road) { // at the head of a log
			switch r.Log() {
			case r.log:
			case second:
				once.Do(func() {
					third = r.lead(2)
					second.Close()
				})
			default:
				arrival.Do(func() { close(arrived) })
			}
		}
		s.take(r, Policy{})
		e := s.listen(t)
		e.awaitText(t, "first\n\n")
		put(r.log, "1")
		r.log.Close()
		e.awaitText(t, "first\n\n1\n\n")
		<-arrived
		put(third, "3")
		e.awaitText(t, "first\n\n1\n\n3\n\n")
	})
}

// There is no room for the log that goes on.
func TestWaysMoveShed(t *testing.T) {
	onWays(t, ways, func(t *testing.T, s *stand) {
		r := newRoad()
		r.err = errors.New("no room")
		r.append("1")
		r.log.Close()
		s.take(r, Policy{})
		s.listen(t).expectEnd(t, true, "first\n\n1\n\nleave shed\n\n")
		s.expectEnds(t, 1, reason.EndAsked)
	})
}

// A frame that comes when all frames there were have been passed is looked at before
// it is sent, also where it comes in the moment between the two.
func TestWaysPassFramesThatComeMeanwhile(t *testing.T) {
	onWays(t, ways, func(t *testing.T, s *stand) {
		r := newRoad()
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
			r.append("held already")
			return next, true
		}
		s.take(r, Policy{})
		e := s.listen(t)
		e.awaitText(t, "first\n\nnew\n\n")
		r.log.Close()
		e.expectEnd(t, true, "first\n\nnew\n\n")
	})
}

// Frames that a client has already got are passed in each log that it comes to,
// wherever in a chain it begins there; then Pass is not called any more.
func TestWaysPass(t *testing.T) {
	onWays(t, ways, func(t *testing.T, s *stand) {
		const legs, frames = 12, 40
		passed := func(leg int) int { return 7 * leg % 24 }
		r := newRoad()
		over := -1 // the leg on which all has been passed
		r.pass = func(position uint64) (next uint64, more bool) {
			if over == r.at {
				t.Errorf("leg %d: asked once more, at %d", r.at, position)
			}
			log, until := r.legs[r.at].log, r.legs[r.at].start+uint64(passed(r.at))
			if next = max(position, min(until, log.Newest())); next < until {
				return next, true
			}
			over = r.at
			return next, false
		}
		s.take(r, Policy{})
		e := s.listen(t)
		want := "first\n\n"
		log := r.log
		for leg := range legs {
			for i := range frames {
				frame := fmt.Sprintf("data: %d of %d, the same words again and again", i, leg)
				// Written one by one, since what is read at once is one piece of the chain.
				if put(log, frame); i >= passed(leg) {
					want += frame + "\n\n"
				}
				e.awaitText(t, want)
			}
			ended := log
			if leg < legs-1 {
				log = r.lead(30 * leg)
			}
			ended.Close()
		}
		e.expectEnd(t, true, want)
	})
}

// A client that is to leave when its log has moved on stands in the log that goes on: the place is its last.
func TestLeavesFromTheLogThatGoesOn(t *testing.T) {
	r := newRoad()
	r.append("1")
	r.lead(5)
	r.log.Close()
	client := &Client{Source: r, Blocks: blocks{source: r.source}, Follower: r}
	session := newSession(client, newForm(false, false), 0)
	session.step(0) // the first block
	session.step(0)
	session.wrote(0)
	session.tell(reason.LeaveDrain)
	written, end := session.step(0)
	if got := string(slices.Concat(written...)); got != "leave drain\n\n" || end != reason.EndAsked || client.Position != 5 {
		t.Errorf("got %q, %s, at %d", got, end, client.Position)
	}
}

// A source is asked whether it watches, in each log that its client comes to; the source of a compressed client is always
// watched.
func TestWatchingSourcesHearOfProgress(t *testing.T) {
	for _, test := range []struct {
		gzip    bool
		watches []bool // in the logs
		told    []uint64
	}{
		{false, []bool{false, false}, nil},
		{false, []bool{true, false}, []uint64{0, 1}}, // the first block, too
		{false, []bool{false, true}, []uint64{1}},
		{true, []bool{false, false}, []uint64{0, 1, 1}},
	} {
		r := &watchedRoad{road: newRoad(), watches: test.watches}
		put(r.log, "a")
		put(r.lead(0), "b")
		r.log.Close()
		client := &Client{Source: r, Blocks: blocks{source: r.source}, Follower: r, Gzip: test.gzip}
		session := newSession(client, newForm(test.gzip, false), 0)
		for range 3 { // the first block, a, b
			before := client.Frames
			if session.step(0); client.Frames != before {
				t.Error("what is not written yet is counted")
			}
			session.wrote(0)
		}
		if !slices.Equal(r.sending, test.told) || !slices.Equal(r.progress, test.told) || client.Frames != 2 {
			t.Errorf("gzip %v, watched %v: sending %v, progress %v, %d frames, want %v", test.gzip, test.watches, r.sending, r.progress, client.Frames, test.told)
		}
	}
}

// Frames that a client has got without being sent them, by an ordinal or because they have no bytes, are progress, for which
// a pump may wait; but they do not count as sent.
func TestPassedFramesAreProgress(t *testing.T) {
	for name, frame := range map[string]string{"passed": "a", "without bytes": ""} {
		r := &watchedRoad{road: newRoad(), watches: []bool{true}}
		r.pass = func(position uint64) (next uint64, more bool) { return position + uint64(len(frame)), false }
		client := &Client{Source: r, Blocks: blocks{source: r.source}, Follower: r}
		session := newSession(client, newForm(false, false), 0)
		session.step(0) // the first block
		r.log.Append([]byte(frame), "")
		if written, end := session.step(0); len(written) > 0 || end != "" || !slices.Equal(r.progress, []uint64{1}) || client.Frames != 0 {
			t.Errorf("%s: wrote %q, end %q, progress %v, %d frames", name, written, end, r.progress, client.Frames)
		}
	}
}

// Where a client moves to the middle of a chain, what it is sent does not refer to what it was not.
func TestWaysMoveIntoAChain(t *testing.T) {
	onWays(t, ways, func(t *testing.T, s *stand) {
		r := newRoad()
		s.take(r, Policy{})
		e := s.listen(t)
		want := "first\n\n"
		e.awaitText(t, want)
		log := r.log
		for leg := range 3 {
			next := r.lead(10)
			for i := range 5 {
				frame := fmt.Sprint("skipped skipped ", leg, " ", i) // as what is skipped
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

// watchedRoad is a road whose source watches, or not.
type watchedRoad struct {
	*road

	watches           []bool // by leg
	sending, progress []uint64
}

// Watches is as the test has it.
func (r *watchedRoad) Watches() bool { return r.watches[r.at] }

// Sending notes it.
func (r *watchedRoad) Sending(position uint64) { r.sending = append(r.sending, position) }

// Progress notes it.
func (r *watchedRoad) Progress(position uint64) { r.progress = append(r.progress, position) }
