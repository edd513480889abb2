package topic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// The errors that the tests' judge knows.
var (
	errHold  = errors.New("hold")
	errRetry = errors.New("retry")
	errFlaky = errors.New("flaky")
	errFatal = errors.New("fatal")
)

func judge(err error) Verdict {
	switch {
	case errors.Is(err, errHold):
		return Hold
	case errors.Is(err, errRetry):
		return Retry
	case errors.Is(err, errFlaky):
		return Flaky
	}
	return Fatal
}

// backend is a Source whose RPCs do what the test says.
type backend struct {
	mu       sync.Mutex
	answers  []answer // to the openings to come; when used up, RPCs are accepted at once
	attempts []time.Time
	running  int // RPCs open now
	newest   *call
}

// answer is what one opening meets.
type answer struct {
	openErr   error
	acceptErr error
	slow      time.Duration // until Open returns
	silent    bool          // neither headers nor an error ever come
}

// Open opens an RPC.
func (b *backend) Open(ctx context.Context, _ []byte) (Stream, error) {
	b.mu.Lock()
	b.attempts = append(b.attempts, time.Now())
	var a answer
	if len(b.answers) > 0 {
		a, b.answers = b.answers[0], b.answers[1:]
	}
	b.mu.Unlock()
	if a.slow > 0 {
		timer := time.NewTimer(a.slow)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if a.openErr != nil {
		return nil, a.openErr
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c := &call{ctx: ctx, backend: b, answer: a, parts: make(chan part)}
	b.running++
	b.newest = c
	return c, nil
}

func (b *backend) then(answers ...answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers = append(b.answers, answers...)
}

func (b *backend) opens() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.attempts)
}

func (b *backend) open() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.running
}

// call is an RPC of a backend's.
type call struct {
	ctx     context.Context // an RPC is bound to it
	backend *backend
	answer  answer
	parts   chan part // unbuffered: a send that returns was taken
	once    sync.Once
}

type part struct {
	wire string
	err  error
}

// Accepted answers as the test said.
func (c *call) Accepted() error {
	if c.answer.silent {
		<-c.ctx.Done()
		return c.ctx.Err()
	}
	return c.answer.acceptErr
}

// Next hands over what the test sends.
func (c *call) Next(message func([]byte) error) error {
	select {
	case p := <-c.parts:
		if p.err != nil {
			return p.err
		}
		wire := []byte(p.wire)
		err := message(wire)
		clear(wire) // it was borrowed
		return err
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// Close ends the RPC.
func (c *call) Close() {
	c.once.Do(func() {
		c.backend.mu.Lock()
		defer c.backend.mu.Unlock()
		c.backend.running--
	})
}

// offer sends if the pump takes it; false says that it does not read.
func (b *backend) offer(p part) bool {
	synctest.Wait()
	b.mu.Lock()
	c := b.newest
	b.mu.Unlock()
	return c != nil && c.offer(p)
}

func (c *call) offer(p part) bool {
	if c.ctx.Err() != nil {
		return false
	}
	select {
	case c.parts <- p:
		synctest.Wait()
		return true
	default:
		return false
	}
}

// send sends messages that the pump is to take.
func (b *backend) send(t *testing.T, wires ...string) {
	t.Helper()
	for _, wire := range wires {
		if !b.offer(part{wire: wire}) {
			t.Fatalf("the pump does not read %q", wire)
		}
	}
}

// fail ends the RPC; io.EOF is OK.
func (b *backend) fail(t *testing.T, err error) {
	t.Helper()
	if !b.offer(part{err: err}) {
		t.Fatalf("the pump does not read the end (%v)", err)
	}
}

// renderer makes one line of each message. Messages that begin with "bad"
// cannot be shown. With cursors, a message is its own id.
type renderer struct {
	cursors bool
	wire    string
	frame   []byte
}

func (r *renderer) make(format string, args ...any) []byte {
	r.frame = fmt.Appendf(r.frame[:0], format+"\n", args...) // the one before is no longer valid
	return r.frame
}

// Read keeps a message.
func (r *renderer) Read(_ context.Context, wire []byte) (Message, error) {
	if bytes.HasPrefix(wire, []byte("bad")) {
		return Message{}, errors.New(string(wire))
	}
	r.wire = string(wire)
	return Message{}, nil
}

// Event renders the message that was read.
func (r *renderer) Event() (frame []byte, id string) {
	if r.cursors {
		id = r.wire
	}
	return r.make("%s", r.wire), id
}

// Release does nothing: what was returned is not used again.
func (*renderer) Release() {}

// Resume knows no cursor.
func (r *renderer) Resume() (cursor []byte, since uint64, ok bool) { return nil, 0, false }

// Gap renders a gap.
func (r *renderer) Gap(why reason.Gap) ([]byte, string) { return r.make("gap:%s", why), "" }

// End renders the end.
func (r *renderer) End(err error) ([]byte, string) { return r.make("end:%v", err), "" }

// world is a registry and one backend behind it.
type world struct {
	t        *testing.T
	registry *Registry
	backend  *backend
	params   Params
	epochs   int
}

// inWorld runs a test in a bubble with a fake clock, and closes what is left.
func inWorld(t *testing.T, limits Limits, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limits)
		defer w.registry.Close()
		test(t, w)
	})
}

func newWorld(t *testing.T, limits Limits) *world {
	w := &world{t: t, registry: NewRegistry(limits), backend: &backend{}}
	w.params = Params{
		Source:  w.backend,
		Judge:   judge,
		Log:     replay.Params{Events: 100, Bytes: 1 << 20},
		Linger:  30 * time.Second,
		Backoff: Backoff{Initial: 100 * time.Millisecond, Max: 10 * time.Second},
	}
	return w
}

var anyLimits = Limits{Topics: 100, Idle: 100, Bytes: 1 << 30}

// wish is a join for a key; the topics that it opens have the epochs e1, e2 and so on.
func (w *world) wish(key string, change ...func(*Join)) Join {
	join := Join{Key: key}
	for _, c := range change {
		c(&join)
	}
	join.Open = func([]byte, bool) (string, Params) {
		w.epochs++
		params := w.params
		if params.Renderer == nil {
			params.Renderer = &renderer{}
		}
		return "e" + strconv.Itoa(w.epochs), params
	}
	return join
}

func private(j *Join) { j.Private = true }
func held(j *Join)    { j.Held = true }

// at is a place in a log, by number.
func at(epoch string, seq uint64) func(*Join) {
	return func(j *Join) { j.Place = Place{ID: fmt.Sprintf("%s-%d", epoch, seq), Epoch: epoch, Seq: seq} }
}

// after is a place by a cursor.
func after(cursor string) func(*Join) {
	return func(j *Join) { j.Place = Place{ID: cursor} }
}

// join attaches a client that is sent its stream-open.
func (w *world) join(key string, change ...func(*Join)) *client {
	w.t.Helper()
	c, err := w.tryJoin(key, change...)
	if err != nil {
		w.t.Fatalf("join %s: %v", key, err)
	}
	c.sub.Opened()
	return c
}

func (w *world) tryJoin(key string, change ...func(*Join)) (*client, error) {
	sub, err := w.registry.Join(w.wish(key, change...))
	if err != nil {
		return nil, err
	}
	synctest.Wait()
	return &client{t: w.t, sub: sub, position: sub.Position}, nil
}

// client reads what its subscription brings.
type client struct {
	t        *testing.T
	sub      *Subscription
	position uint64
}

// read returns the lines that have come since the last read, and "EOF" or
// "lagged" where that is what comes next.
func (c *client) read() string {
	c.t.Helper()
	synctest.Wait()
	var lines []string
	for {
		slices, position, err := c.sub.Log().Read(c.position, 1<<20, nil)
		switch {
		case errors.Is(err, io.EOF):
			return strings.Join(append(lines, "EOF"), " ")
		case errors.Is(err, replay.ErrEvicted):
			return strings.Join(append(lines, "lagged"), " ")
		case err != nil:
			c.t.Fatal(err)
		case position == c.position:
			return strings.Join(lines, " ")
		}
		lines = append(lines, strings.Fields(string(bytes.Join(slices, nil)))...)
		c.position = position
		c.sub.Progress(position)
		synctest.Wait()
	}
}

func (c *client) expect(want string) {
	c.t.Helper()
	if got := c.read(); got != want {
		c.t.Fatalf("read %q, want %q", got, want)
	}
}

func (c *client) leave() {
	c.sub.Leave()
	synctest.Wait()
}

func (c *client) toldToLeave() bool { return c.sub.ToldToLeave(c.sub.Topic.Status()) }

func (w *world) expectTopics(want int) {
	w.t.Helper()
	synctest.Wait()
	if got := w.registry.Topics(); got != want {
		w.t.Fatalf("%d topics, want %d", got, want)
	}
}

func (w *world) expectOpens(want int) {
	w.t.Helper()
	synctest.Wait()
	if got := w.backend.opens(); got != want {
		w.t.Fatalf("%d RPCs were opened, want %d", got, want)
	}
}

func (w *world) expectRunning(want int) {
	w.t.Helper()
	synctest.Wait()
	if got := w.backend.open(); got != want {
		w.t.Fatalf("%d RPCs are open, want %d", got, want)
	}
}

func (w *world) expectPhase(c *client, want Phase) {
	w.t.Helper()
	synctest.Wait()
	if got := c.sub.Topic.Status().Phase; got != want {
		w.t.Fatalf("phase %d, want %d", got, want)
	}
}
