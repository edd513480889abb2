package topic_test

import (
	"errors"
	"flag"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

var (
	schedules = flag.Int("schedules", 0, "how many random schedules; 0 is the test's own number")
	seed      = flag.Uint64("seed", 0, "play only the schedule with this seed, and print it")
)

// TestBetweenGapsExactlyOnce is the sentence that the product stands on:
// between two gaps, every client gets each message of its stream exactly once
// and in order, whatever clients, backends, bridges and the clock do. A gap
// that the schedule does not explain fails like a lost message.
//
// A schedule is random, and is played again by its seed.
func TestBetweenGapsExactlyOnce(t *testing.T) {
	first, count := rand.Uint64()>>16, 10_000
	if raceEnabled {
		count /= 20
	}
	if *schedules > 0 {
		count = *schedules
	}
	if *seed != 0 {
		first, count = *seed, 1
	}
	t.Logf("%d schedules from seed %d", count, first)
	told := map[string]int{}
	for i := range uint64(count) {
		play(t, first+i, *seed != 0, told)
		if t.Failed() {
			return
		}
	}
	for _, what := range slices.Sorted(maps.Keys(told)) {
		t.Logf("clients were told %s: %d", what, told[what])
	}
}

func play(t *testing.T, seed uint64, verbose bool, told map[string]int) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule(t, seed, verbose)
		s.told = told
		defer s.close()
		for range 30 + s.random.IntN(60) {
			s.step()
			if t.Failed() {
				return
			}
		}
		if s.paces(); t.Failed() {
			return
		}
		s.settle()
	})
}

// schedule is a backend with a history, one or two bridges before it, and
// clients that keep what an EventSource keeps.
type schedule struct {
	t       *testing.T
	seed    uint64
	verbose bool
	random  *rand.Rand
	told    map[string]int // how often clients heard each kind of event

	// The route.
	mode       sse.Mode
	resumable  bool // event.id and resume.field
	rules      topic.Cursors
	own, held  bool
	history    bool // an RPC without a cursor begins with the whole history
	unordered  bool
	private    bool
	skips      bool // slow_client: skip
	cursorless bool // some messages carry no cursor
	greets     bool // an RPC begins with a message without a cursor, also one that is then refused
	bad        bool // some messages cannot be shown
	reopen     bool // RPCs that end with OK are opened again
	ends       bool // RPCs end with OK
	fails      bool // RPCs fail for good
	attempts   int
	most       uint64 // what a client is sent of what it has missed; 0: all
	log        replay.Params

	// The backend.
	messages []message
	trimmed  int // messages before it are forgotten
	restarts bool
	mu       sync.Mutex
	calls    []*call // those that run
	opened   int
	down     []error          // what the next RPCs meet
	feeds    map[string]*feed // by epoch
	epochs   []string         // in the order of their topics
	names    map[*topic.Registry]*sse.Epochs

	bridges []*topic.Registry
	clients []*browser
	ghosts  []*ghost
	calm    bool // no more faults
}

type message struct {
	cursor string
	bad    bool
	// passing: it is sent to the clients of the moment, and not again.
	passing bool
}

// The ends of RPCs: each stands for a verdict.
var (
	errLost  = errors.New("the connection was lost")
	errRetry = errors.New("come back later")
	errFlaky = errors.New("internal")
	errGone  = errors.New("the cursor is too old")
)

func judge(err error) topic.Verdict {
	switch {
	case errors.Is(err, errLost):
		return topic.Hold
	case errors.Is(err, errRetry):
		return topic.Retry
	case errors.Is(err, errFlaky):
		return topic.Flaky
	}
	return topic.Fatal
}

const linger = 5 * time.Second

func newSchedule(t *testing.T, seed uint64, verbose bool) *schedule {
	r := rand.New(rand.NewPCG(seed, 0))
	s := &schedule{
		t: t, seed: seed, verbose: verbose, random: r,
		mode: sse.Cursors, resumable: r.IntN(5) > 0,
		own: r.IntN(3) == 0, held: r.IntN(3) == 0, history: r.IntN(2) == 0, cursorless: r.IntN(3) == 0,
		greets: r.IntN(3) == 0, unordered: r.IntN(8) == 0, private: r.IntN(6) == 0, skips: r.IntN(3) == 0, bad: r.IntN(4) == 0,
		reopen: r.IntN(3) == 0, attempts: []int{0, 0, 1, 3}[r.IntN(4)],
		feeds: map[string]*feed{},
		log:   replay.Params{Events: 2 + r.IntN(8), Bytes: 1 << 20, Age: []time.Duration{0, 0, 0, 3 * time.Second}[r.IntN(4)]},
	}
	s.ends = s.reopen || r.IntN(6) == 0
	if !s.resumable && (s.private || r.IntN(2) == 0) {
		s.mode = sse.Positions
	}
	s.rules = topic.Cursors{Inclusive: r.IntN(3) == 0, Repeats: r.IntN(3) == 0, Expired: gone}
	if r.IntN(2) == 0 {
		s.rules.NotAfter = inOrder
	}
	s.consistent()
	for range 1 + r.IntN(2) {
		s.bridges = append(s.bridges, newBridge())
	}
	for range 1 + r.IntN(4) {
		s.clients = append(s.clients, &browser{schedule: s, name: len(s.clients), next: -1})
	}
	s.sayf("mode %d resumable=%v rules %+v own=%v held=%v history=%v unordered=%v private=%v skips=%v cursorless=%v greets=%v bad=%v reopen=%v ends=%v attempts=%d most=%d log=%+v bridges=%d",
		s.mode, s.resumable, s.rules, s.own, s.held, s.history, s.unordered, s.private, s.skips, s.cursorless, s.greets, s.bad, s.reopen, s.ends, s.attempts, s.most, s.log, len(s.bridges))
	return s
}

// consistent gives up what the configuration refuses, or no backend can keep.
func (s *schedule) consistent() {
	if s.rules.Repeats || s.rules.Inclusive || s.cursorless || s.mode != sse.Cursors {
		s.greets = false // nothing but a first cursor tells where the greetings end
	}
	if s.rules.Repeats && s.rules.Inclusive {
		s.cursorless = false // what stands between messages of one cursor would come twice
	}
	if !s.resumable || s.private {
		s.own = s.own && s.private && s.resumable
	}
	if s.own {
		s.held, s.history = false, true
	}
	s.skips = s.skips && !s.private
	if s.resumable && !s.private && !s.unordered && s.random.IntN(6) == 0 {
		s.most = 2 + s.random.Uint64N(6)
	}
}

func newBridge() *topic.Registry {
	return topic.NewRegistry(topic.Limits{Topics: 1000, Idle: 1000, Bytes: 1 << 30})
}

func (s *schedule) sayf(format string, args ...any) {
	if s.verbose {
		s.t.Logf(format, args...)
	}
}

// errorf fails the test and says how to see the schedule again.
func (s *schedule) errorf(format string, args ...any) {
	s.t.Errorf(format+" (again: -run BetweenGaps -v -args -seed %d)", append(args, s.seed)...)
}

func gone(err error) bool { return errors.Is(err, errGone) }

// inOrder compares cursors as integers.
func inOrder(cursor, other []byte) bool { return number(string(cursor)) <= number(string(other)) }

func number(cursor string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(cursor, "c"))
	return n
}

func (s *schedule) close() {
	for _, c := range s.clients {
		c.cut()
	}
	for _, g := range s.ghosts {
		g.sub.Leave()
	}
	for _, b := range s.bridges {
		b.Close()
	}
}

// step does one random thing.
func (s *schedule) step() {
	s.serveSlow()
	switch s.random.IntN(16) {
	case 0, 1, 2, 3:
		s.publish(1 + s.random.IntN(3))
	case 4, 5, 6:
		c := s.clients[s.random.IntN(len(s.clients))]
		if c.sub == nil {
			c.connect(s.bridges[s.random.IntN(len(s.bridges))])
		} else {
			c.read(s.random.IntN(4))
		}
	case 7:
		if c := s.clients[s.random.IntN(len(s.clients))]; c.sub != nil && s.random.IntN(3) == 0 {
			c.haunt(s.some())
		} else {
			c.cut()
		}
	case 8:
		s.breakCalls()
	case 9:
		if s.random.IntN(3) == 0 {
			s.restart()
		}
	case 10:
		if s.random.IntN(4) == 0 && len(s.messages) > 0 {
			s.trim()
		}
	case 11:
		time.Sleep(time.Duration(s.random.IntN(2000)) * time.Millisecond)
	case 12, 13:
		s.pump(s.random.IntN(6))
	case 14:
		if c := s.clients[s.random.IntN(len(s.clients))]; s.random.IntN(2) == 0 {
			c.freeze()
		} else {
			c.slows(time.Duration(1+s.random.IntN(1000)) * time.Millisecond)
		}
	case 15:
		s.hurry()
	}
	synctest.Wait()
}

// add, forget and message share the backend's history with the pumps, which a
// timer may have woken.
func (s *schedule) add(m message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
}

func (s *schedule) forget(before int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trimmed = before
}

func (s *schedule) message(index int) message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.messages[index]
}

// publish adds messages to the backend's stream.
func (s *schedule) publish(n int) {
	for range n {
		m := message{bad: s.bad && !s.calm && s.random.IntN(4) == 0}
		last := ""
		for i := len(s.messages) - 1; i >= 0 && last == ""; i-- {
			last = s.messages[i].cursor
		}
		switch {
		case s.unordered && (s.calm || !s.cursorless || s.random.IntN(3) > 0):
			m.cursor = "c" + strconv.Itoa(s.random.IntN(1<<30))
		case s.calm:
			m.cursor = "c" + strconv.Itoa(number(last)+1)
		case s.cursorless && s.random.IntN(3) == 0:
		case s.rules.Repeats && last != "" && s.random.IntN(2) == 0:
			m.cursor = last
		default:
			m.cursor = "c" + strconv.Itoa(number(last)+1)
		}
		s.add(m)
	}
	s.sayf("published up to m%d %+v", len(s.messages)-1, s.messages[len(s.messages)-1])
}

// pump lets RPCs deliver up to n messages.
func (s *schedule) pump(n int) {
	for range n {
		calls := s.running()
		if len(calls) == 0 {
			return
		}
		calls[s.random.IntN(len(calls))].deliver()
		synctest.Wait()
	}
}

// running returns the RPCs that run, in the order of their opening.
func (s *schedule) running() []*call {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := slices.Clone(s.calls)
	slices.SortFunc(calls, func(a, b *call) int { return a.id - b.id })
	return calls
}

// breakCalls ends RPCs, and at times those that follow.
func (s *schedule) breakCalls() {
	errs := []error{errLost, errLost, errRetry, errFlaky}
	if s.ends {
		errs = append(errs, io.EOF)
	}
	calls := s.running()
	if len(calls) > 0 && s.random.IntN(2) == 0 {
		calls = calls[s.random.IntN(len(calls)):][:1]
	}
	for _, c := range calls {
		err := errs[s.random.IntN(len(errs))]
		s.sayf("RPC %d breaks: %v", c.id, err)
		c.fail(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.random.IntN(4) == 0 {
		s.down = append(s.down, errs[s.random.IntN(4)])
	}
}

func (s *schedule) restart() {
	i := s.random.IntN(len(s.bridges))
	s.sayf("bridge %d restarts", i)
	for _, c := range s.clients {
		if c.bridge == s.bridges[i] {
			c.cut()
		}
	}
	s.ghosts = slices.DeleteFunc(s.ghosts, func(g *ghost) bool {
		if g.bridge == s.bridges[i] {
			g.sub.Leave()
		}
		return g.bridge == s.bridges[i]
	})
	s.bridges[i].Close()
	s.bridges[i] = newBridge()
}

// trim lets the backend forget the beginning of its history, or remember it.
func (s *schedule) trim() {
	s.forget(s.random.IntN(len(s.messages) + 1))
	s.sayf("messages before m%d are forgotten", s.trimmed)
}

// settle lets everything come to rest: then every client has everything, and
// one RPC a bridge is left where catch-ups may merge.
func (s *schedule) settle() {
	s.sayf("settle")
	s.calm = true
	s.hurry()
	for range 40 {
		s.publish(1) // where the stream rests, a live main has nothing that a catch-up could meet
		for range 30 {
			for _, c := range s.clients {
				if c.sub == nil {
					c.connect(s.bridges[0])
				}
				c.thaw()
				c.read(20)
			}
			s.serveSlow()
			synctest.Wait()
			for _, c := range s.running() {
				c.deliver()
				synctest.Wait()
			}
			if s.t.Failed() {
				return
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
	}
	s.check()
}

func (s *schedule) check() {
	for _, c := range s.clients {
		if c.sub != nil && c.next != len(s.messages) {
			s.errorf("client %d has come to rest before m%d of %d", c.name, c.next, len(s.messages))
		}
	}
	if calls := s.running(); !s.unordered && !s.private && len(calls) > len(s.bridges) {
		s.errorf("%d RPCs run in the end, for %d bridges", len(calls), len(s.bridges))
	}
}
