package topic

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// Whatever clients, backends and the clock do: a client that follows positions sees
// every message exactly once between gaps, none is refused while there is room, and
// nothing is left when all have gone.
func TestAnythingMayHappen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A bubble has no deadline to ask for; testing.TB hides the method.
		for range 4 {
			rapid.Check(struct{ testing.TB }{t}, func(t *rapid.T) {
				m := newMachine(t)
				t.Repeat(map[string]func(*rapid.T){
					"":       m.check,
					"join":   m.join,
					"return": m.comeBack,
					"leave":  m.leave,
					"read":   m.read,
					"send":   m.send,
					"fail":   m.fail,
					"refuse": m.refuse,
					"wait":   m.wait,
				})
				m.finish(t)
			})
		}
	})
}

type machine struct {
	registry *Registry
	limits   Limits
	linger   time.Duration
	events   int
	feeds    map[string]*feed // by epoch
	names    []string         // their epochs, in order
	clients  []*follower
}

// feed is the backend of one topic. Its messages are numbered; what its RPC
// would have sent while it was broken is lost.
type feed struct {
	backend   backend
	next      int
	delivered bool // by the newest RPC
	private   bool
}

// follower is a client that checks what it reads.
type follower struct {
	key     string
	private bool
	sub     *Subscription // nil while it is away
	epoch   string
	mark
	before []mark // where it stood before, in this log
}

// mark is a place in a log, and what a follower there expects.
type mark struct {
	position uint64
	last     int  // the last message's number
	anything bool // the next message may have any number: after a gap, or at a fresh start
	ended    bool
}

func newMachine(t *rapid.T) *machine {
	m := &machine{
		limits: Limits{Topics: rapid.IntRange(1, 6).Draw(t, "topics"), Idle: rapid.IntRange(1, 3).Draw(t, "idle"), Bytes: 1 << 30},
		linger: time.Duration(rapid.IntRange(0, 20).Draw(t, "linger")) * time.Second,
		events: rapid.SampledFrom([]int{1, 3, 100}).Draw(t, "events"),
		feeds:  map[string]*feed{},
	}
	m.registry = NewRegistry(m.limits)
	return m
}

func (m *machine) open(private bool) (string, Params) {
	epoch := "e" + strconv.Itoa(len(m.names)+1)
	f := &feed{private: private}
	m.feeds[epoch], m.names = f, append(m.names, epoch)
	return epoch, Params{
		Source:   &f.backend,
		Renderer: &renderer{},
		Judge:    judge,
		Log:      replay.Params{Events: m.events, Bytes: 1 << 20, Age: time.Minute},
		Linger:   m.linger,
		Backoff:  Backoff{Initial: 100 * time.Millisecond, Max: 10 * time.Second},
		Reopen:   private,
	}
}

// attach joins, and notes what the client is told.
func (m *machine) attach(t *rapid.T, f *follower, place Place, held bool) {
	sub, err := m.registry.Join(Join{
		Key: f.key, Private: f.private, Held: held, Place: place,
		Open: func([]byte, bool) (string, Params) { return m.open(f.private) },
	})
	if err != nil {
		if !errors.Is(err, ErrFull) || m.listenedTo() < m.limits.Topics {
			t.Fatalf("join: %v, with %d topics that are listened to of %d", err, m.listenedTo(), m.limits.Topics)
		}
		return
	}
	if sub.Start == Resumed && sub.Topic.Epoch() != f.epoch {
		t.Fatalf("resumed at a place in %s in the log of %s", f.epoch, sub.Topic.Epoch())
	}
	if sub.Start != Resumed {
		f.mark, f.before = mark{position: sub.Position, anything: true}, nil
	}
	if sub.Position != f.position {
		t.Fatalf("resumed at %d, not %d", sub.Position, f.position)
	}
	f.sub, f.epoch = sub, sub.Topic.Epoch()
	sub.Opened()
	m.clients = append(m.clients, f)
	synctest.Wait()
}

func (m *machine) listenedTo() int {
	topics := map[*Topic]bool{}
	for _, f := range m.clients {
		if f.sub != nil {
			topics[f.sub.Topic] = true
		}
	}
	return len(topics)
}

func (m *machine) join(t *rapid.T) {
	f := &follower{key: rapid.SampledFrom([]string{"a", "b", "private"}).Draw(t, "key")}
	f.private = f.key == "private"
	m.attach(t, f, Place{}, rapid.Bool().Draw(t, "held"))
}

// one picks a client that is there, or that is away.
func (m *machine) one(t *rapid.T, here bool) *follower {
	var some []*follower
	for _, f := range m.clients {
		if (f.sub != nil) == here {
			some = append(some, f)
		}
	}
	if len(some) == 0 {
		t.Skip("there is no client")
	}
	return rapid.SampledFrom(some).Draw(t, "client")
}

func (m *machine) comeBack(t *rapid.T) {
	f := m.one(t, false)
	m.forget(f)
	// The last frames may not have arrived.
	if lost := rapid.IntRange(0, min(2, len(f.before))).Draw(t, "lost"); lost > 0 {
		f.mark = f.before[len(f.before)-lost]
		f.before = f.before[:len(f.before)-lost]
	}
	m.attach(t, f, Place{ID: fmt.Sprintf("%s-%d", f.epoch, f.position), Epoch: f.epoch, Seq: f.position}, false)
}

func (m *machine) forget(f *follower) {
	for i, other := range m.clients {
		if other == f {
			m.clients = append(m.clients[:i], m.clients[i+1:]...)
			return
		}
	}
}

func (m *machine) leave(t *rapid.T) {
	f := m.one(t, true)
	f.sub.Leave()
	f.sub = nil
	synctest.Wait()
}

// read reads up to some bytes; the rest another time.
func (m *machine) read(t *rapid.T) {
	f := m.one(t, true)
	slices, position, err := f.sub.Log().Read(f.position, rapid.IntRange(1, 30).Draw(t, "limit"), nil)
	switch {
	case errors.Is(err, replay.ErrEvicted):
		if f.private && m.alone(f) {
			t.Fatal("a private log has dropped what its client has not got")
		}
		f.sub.Leave()
		f.sub = nil
		synctest.Wait()
		return
	case errors.Is(err, io.EOF):
		if !f.ended {
			t.Fatal("the log is over without its last frame")
		}
		return
	}
	f.seeAll(t, slices)
	if f.position != position {
		t.Fatalf("read to %d, and %d frames", position, f.position)
	}
	f.sub.Progress(position)
	synctest.Wait()
}

// alone reports whether no other client has ever had the same private topic.
func (m *machine) alone(f *follower) bool {
	for _, other := range m.clients {
		if other != f && other.epoch == f.epoch {
			return false
		}
	}
	return true
}

func (f *follower) seeAll(t *rapid.T, slices [][]byte) {
	for _, slice := range slices {
		for line := range strings.FieldsSeq(string(slice)) {
			f.before = append(f.before, f.mark)
			f.see(t, line)
			f.position++
		}
	}
}

func (f *follower) see(t *rapid.T, line string) {
	switch {
	case f.ended:
		t.Fatalf("%q after the end", line)
	case strings.HasPrefix(line, "gap:"):
		f.anything = true
	case strings.HasPrefix(line, "end:"):
		f.ended = true
	default:
		number, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		if !f.anything && number != f.last+1 {
			t.Fatalf("message %d follows %d", number, f.last)
		}
		f.last, f.anything = number, false
	}
}

// running picks a topic with an RPC.
func (m *machine) running(t *rapid.T) *feed {
	var some []string
	for _, name := range m.names {
		if m.feeds[name].backend.open() > 0 {
			some = append(some, name)
		}
	}
	if len(some) == 0 {
		t.Skip("no RPC")
	}
	return m.feeds[rapid.SampledFrom(some).Draw(t, "feed")]
}

func (m *machine) send(t *rapid.T) {
	f := m.running(t)
	for range rapid.IntRange(1, 5).Draw(t, "messages") {
		if !f.backend.offer(part{wire: strconv.Itoa(f.next + 1)}) {
			return // flow control
		}
		f.next++
		f.delivered = true
	}
}

func (m *machine) fail(t *rapid.T) {
	f := m.running(t)
	err := rapid.SampledFrom([]error{errHold, errRetry, errFlaky, errFatal, io.EOF}).Draw(t, "error")
	if f.backend.offer(part{err: err}) && f.delivered {
		f.delivered = false
		f.next += rapid.IntRange(0, 2).Draw(t, "lost")
	}
}

// refuse lets a topic's next opening fail.
func (m *machine) refuse(t *rapid.T) {
	if len(m.names) == 0 {
		t.Skip("no topic")
	}
	f := m.feeds[rapid.SampledFrom(m.names).Draw(t, "feed")]
	err := rapid.SampledFrom([]error{errHold, errRetry, errFlaky, errFatal}).Draw(t, "error")
	f.backend.then(answer{openErr: err})
}

func (m *machine) wait(t *rapid.T) {
	time.Sleep(time.Duration(rapid.IntRange(1, 30_000).Draw(t, "ms")) * time.Millisecond)
	synctest.Wait()
}

func (m *machine) check(t *rapid.T) {
	if n := m.registry.Topics(); n > m.limits.Topics {
		t.Fatalf("%d topics of %d", n, m.limits.Topics)
	}
	running, shared := 0, map[string]*Topic{}
	for _, f := range m.clients {
		if f.sub == nil {
			continue
		}
		topic := f.sub.Topic
		if topic.reg.gone {
			t.Fatalf("%s is gone though it has a client", f.epoch)
		}
		if floor, head := topic.log.Bounds(); head-floor > uint64(m.events)+2 { // two gaps may follow what fills it
			t.Fatalf("the log of %s holds %d frames", f.epoch, head-floor)
		}
		if f.private || topic.finished() {
			continue
		}
		if other := shared[f.key]; other != nil && other != topic {
			t.Fatalf("%s and %s run for one key", other.epoch, topic.epoch)
		}
		shared[f.key] = topic
	}
	for _, f := range m.feeds {
		open := f.backend.open()
		if running += open; open > 1 {
			t.Fatal("a topic has two RPCs at once")
		}
	}
	if running > m.registry.Topics() {
		t.Fatalf("%d RPCs for %d topics", running, m.registry.Topics())
	}
}

// finish lets all clients read to the end and leave.
func (m *machine) finish(t *rapid.T) {
	for _, f := range m.clients {
		if f.sub != nil {
			m.readAll(t, f)
			f.sub.Leave()
		}
	}
	time.Sleep(m.linger)
	synctest.Wait()
	if n := m.registry.Topics(); n != 0 {
		t.Fatalf("%d topics are left", n)
	}
	for name, f := range m.feeds {
		if f.backend.open() != 0 {
			t.Fatalf("%s has an RPC without a client", name)
		}
	}
	m.registry.Close()
}

// readAll reads to the head: the last message that was sent must be there.
func (m *machine) readAll(t *rapid.T, f *follower) {
	slices, _, err := f.sub.Log().Read(f.position, 1<<20, nil)
	if err != nil {
		return
	}
	f.seeAll(t, slices)
	if feed := m.feeds[f.epoch]; feed.delivered && !f.anything && f.last != feed.next {
		t.Fatalf("the newest message is %d, of %d", f.last, feed.next)
	}
}
