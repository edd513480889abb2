package topic_test

import (
	"errors"
	"flag"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
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
	for i := range uint64(count) {
		play(t, first+i, *seed != 0)
		if t.Failed() {
			return
		}
	}
}

func play(t *testing.T, seed uint64, verbose bool) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule(t, seed, verbose)
		defer s.close()
		for range 30 + s.random.IntN(60) {
			s.step()
			if t.Failed() {
				return
			}
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

	// The route.
	rules      topic.Cursors
	own, held  bool
	history    bool // an RPC without a cursor begins with the whole history
	unordered  bool
	private    bool
	cursorless bool // some messages carry no cursor
	reopen     bool // RPCs that end with OK are opened again
	log        replay.Params

	// The backend.
	messages []message
	trimmed  int // messages before it are forgotten
	mu       sync.Mutex
	calls    []*call // those that run
	opened   int
	feeds    map[string]*feed // by epoch
	epochs   []string         // in the order of their topics

	bridges  []*topic.Registry
	clients  []*browser
	trims    int
	restarts bool // the backend has begun its cursors anew
	calm     bool // no more faults
}

type message struct {
	cursor string
	// passing: it is sent to those who listen, and not again.
	passing bool
}

var (
	errLost = errors.New("the connection was lost")
	errGone = errors.New("the cursor is too old")
)

func newSchedule(t *testing.T, seed uint64, verbose bool) *schedule {
	r := rand.New(rand.NewPCG(seed, 0))
	s := &schedule{
		t: t, seed: seed, verbose: verbose, random: r,
		own: r.IntN(3) == 0, held: r.IntN(3) == 0, history: r.IntN(2) == 0, cursorless: r.IntN(3) == 0,
		unordered: r.IntN(8) == 0, private: r.IntN(6) == 0,
		feeds: map[string]*feed{},
		log:   replay.Params{Events: 2 + r.IntN(8), Bytes: 1 << 20},
	}
	s.rules = topic.Cursors{
		Inclusive: r.IntN(3) == 0,
		Repeats:   r.IntN(3) == 0,
		Expired:   gone,
	}
	if r.IntN(2) == 0 {
		s.rules.NotAfter = inOrder
	}
	if s.rules.Repeats && s.rules.Inclusive {
		s.cursorless = false // what stands between messages of one cursor would come twice
	}
	if s.own {
		s.held, s.history = false, true
	}
	for range 1 + r.IntN(2) {
		s.bridges = append(s.bridges, newBridge())
	}
	for range 1 + r.IntN(4) {
		s.clients = append(s.clients, &browser{schedule: s, name: len(s.clients), next: -1})
	}
	s.say("rules %+v own=%v held=%v history=%v unordered=%v cursorless=%v log=%d bridges=%d", s.rules, s.own, s.held, s.history, s.unordered, s.cursorless, s.log.Events, len(s.bridges))
	return s
}

func newBridge() *topic.Registry { return topic.NewRegistry(topic.Limits{Topics: 1000, Idle: 1000}) }

func (s *schedule) say(format string, args ...any) {
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
	for _, b := range s.bridges {
		b.Close()
	}
}

// step does one random thing.
func (s *schedule) step() {
	switch s.random.IntN(13) {
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
		s.clients[s.random.IntN(len(s.clients))].cut()
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
	case 12:
		s.pump(s.random.IntN(6))
	}
	synctest.Wait()
}

// publish adds messages to the backend's stream.
func (s *schedule) publish(n int) {
	for range n {
		m := message{}
		last := ""
		for i := len(s.messages) - 1; i >= 0 && last == ""; i-- {
			last = s.messages[i].cursor
		}
		switch {
		case s.cursorless && s.random.IntN(3) == 0:
		case s.rules.Repeats && last != "" && s.random.IntN(2) == 0:
			m.cursor = last
		default:
			m.cursor = "c" + strconv.Itoa(number(last)+1)
		}
		s.messages = append(s.messages, m)
	}
	s.say("published up to m%d %q", len(s.messages)-1, s.messages[len(s.messages)-1].cursor)
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

func (s *schedule) breakCalls() {
	calls := s.running()
	if len(calls) == 0 {
		return
	}
	if s.random.IntN(2) == 0 {
		calls = calls[s.random.IntN(len(calls)):][:1]
	}
	for _, c := range calls {
		s.say("RPC %d breaks", c.id)
		c.fail(errLost)
	}
}

func (s *schedule) restart() {
	i := s.random.IntN(len(s.bridges))
	s.say("bridge %d restarts", i)
	for _, c := range s.clients {
		if c.bridge == s.bridges[i] {
			c.cut()
		}
	}
	s.bridges[i].Close()
	s.bridges[i] = newBridge()
}

// trim lets the backend forget the beginning of its history.
func (s *schedule) trim() {
	s.trims++
	s.trimmed = s.random.IntN(len(s.messages) + 1)
	s.say("messages before m%d are forgotten", s.trimmed)
}

// settle lets everything come to rest: then every client has everything, and
// one RPC a bridge is left where catch-ups may merge.
func (s *schedule) settle() {
	s.say("settle")
	s.calm = true
	for range 40 {
		if !s.cursorless {
			s.publish(1) // where the stream rests, a live main has nothing that a catch-up could meet
		}
		for range 30 {
			for _, c := range s.clients {
				if c.sub == nil {
					c.connect(s.bridges[0])
				}
				c.read(20)
			}
			synctest.Wait()
			for _, c := range s.running() {
				c.deliver()
				synctest.Wait()
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
	}
	s.check()
}

func (s *schedule) check() {
	listened := 0
	for _, c := range s.clients {
		if c.sub == nil {
			continue
		}
		listened++
		if c.next >= 0 && c.next != len(s.messages) {
			s.errorf("client %d has come to rest before m%d of %d", c.name, c.next, len(s.messages))
		}
	}
	if calls := s.running(); !s.unordered && !s.private && !s.cursorless && !s.own && len(calls) > len(s.bridges) {
		s.errorf("%d RPCs run in the end, before %d clients of %d bridges", len(calls), listened, len(s.bridges))
	}
}
