package bridge_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/ssebridge/ssebridge/bridge"
)

// ear is a client without a socket: it checks a response while the bridge writes it, so that
// thousands of clients are cheap. It knows the next event that it expects.
type ear struct {
	tb     testing.TB
	name   int
	header http.Header

	mu      sync.Mutex
	next    int64
	gaps    int
	others  int    // number of control events other than stream-open and stream-gap
	changed func() // called after each event
}

// Header implements http.ResponseWriter.
func (e *ear) Header() http.Header { return e.header }

// WriteHeader expects a stream.
func (e *ear) WriteHeader(code int) {
	if code != http.StatusOK {
		e.tb.Errorf("client %d is answered %d", e.name, code)
	}
}

// Flush implements http.Flusher.
func (e *ear) Flush() {}

// Write checks the blocks in p, which are complete.
func (e *ear) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for block := range bytes.SplitSeq(p, []byte("\n\n")) {
		e.check(block)
	}
	return len(p), nil
}

func (e *ear) check(block []byte) {
	_, rest, found := bytes.Cut(block, []byte(`data: {"seq":"`))
	if !found {
		switch name := controlOf(block); name {
		case "", "stream-open":
		case "stream-gap":
			e.gaps++
		default:
			e.others++
		}
		return
	}
	digits, _, _ := bytes.Cut(rest, []byte(`"`))
	if n, err := strconv.ParseInt(string(digits), 10, 64); err != nil || n != e.next {
		e.tb.Errorf("client %d got %s, want %d", e.name, digits, e.next)
	}
	e.next++
	if e.changed != nil {
		e.changed()
	}
}

// controlOf returns the name of a control event, "" for others.
func controlOf(block []byte) string {
	for line := range bytes.SplitSeq(block, []byte("\n")) {
		if name, ok := bytes.CutPrefix(line, []byte("event: ")); ok && bytes.HasPrefix(name, []byte("stream-")) {
			return string(name)
		}
	}
	return ""
}

func (e *ear) at() (next int64, gaps int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.next, e.gaps
}

// crowd is a number of clients of one bridge.
type crowd struct {
	ears   []*ear
	ended  func() (n int) // the number of streams that have ended too early
	goAway func()
}

// gather connects n clients. id returns the Last-Event-ID of each, and next the event that it expects first.
func gather(tb testing.TB, b *bridge.Bridge, n int, id func(i int) string, next func(i int) int64, changed func()) *crowd {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	c := &crowd{}
	var all sync.WaitGroup
	var mu sync.Mutex
	ended := 0
	c.ended = func() int { mu.Lock(); defer mu.Unlock(); return ended }
	c.goAway = func() { cancel(); all.Wait() }
	for i := range n {
		e := &ear{tb: tb, name: i, header: http.Header{}, next: next(i), changed: changed}
		c.ears = append(c.ears, e)
		request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/feed", http.NoBody)
		// A private address, to which the default limits by address do not apply.
		request.RemoteAddr = fmt.Sprintf("10.0.%d.%d:1024", i/256, i%256)
		if id := id(i); id != "" {
			request.Header.Set("Last-Event-ID", id)
		}
		all.Go(func() {
			defer func() {
				_ = recover() // http.ErrAbortHandler, when the client leaves
				mu.Lock()
				defer mu.Unlock()
				ended++
			}()
			b.ServeHTTP(e, request)
		})
	}
	tb.Cleanup(c.goAway)
	return c
}

// patience is the time after which an RPC that replays, but sends nothing or is not read, no longer has a slot of
// limits.catchups.
const patience = 250 * time.Millisecond

// counting is a connection that counts its RPCs that replay.
type counting struct {
	*grpc.ClientConn

	mu        sync.Mutex
	replaying []*replaying
	most      int // the highest number at a time
}

// replaying is an RPC of a counting connection.
type replaying struct {
	grpc.ClientStream

	of     *counting
	ctx    context.Context // ends with the RPC
	moved  time.Time       // when it last received a message; zero until it has a connection
	unread time.Duration   // total time in which the bridge did not read
	over   bool            // it no longer replays
}

// RecvMsg receives a message.
func (r *replaying) RecvMsg(m any) error {
	r.of.mu.Lock()
	r.unread += time.Since(r.moved)
	r.done()
	r.of.mu.Unlock()
	err := r.ClientStream.RecvMsg(m)
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	r.done()
	r.moved = time.Now()
	return err
}

// NewStream opens an RPC.
func (c *counting) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	rpc := &replaying{of: c, ctx: ctx}
	c.mu.Lock()
	c.replaying = append(c.replaying, rpc)
	c.replaying = slices.DeleteFunc(c.replaying, (*replaying).done)
	c.most = max(c.most, len(c.replaying))
	c.mu.Unlock()
	stream, err := c.ClientConn.NewStream(ctx, desc, method, opts...)
	c.mu.Lock()
	defer c.mu.Unlock()
	rpc.ClientStream, rpc.moved = stream, time.Now()
	return rpc, err
}

// done reports whether the RPC no longer replays. It does not if its context has ended, even before
// the backend notices.
func (r *replaying) done() bool {
	r.over = r.over || r.ctx.Err() != nil || !r.moved.IsZero() && time.Since(r.moved) >= patience || r.unread >= patience
	return r.over
}

// The backend of 1,000 clients is away for half a minute. No connection of a client ends, no event
// is lost on a route with cursors, and the backend gets the attempts of one topic, spaced by its
// backoff.
func TestBackendRestartsUnderACrowd(t *testing.T) {
	const clients = 1000
	for _, test := range []struct {
		name, keys string
		gaps       int
	}{{"cursors", "event: {id: seq}, resume: {field: after}", 0}, {"positions", "retry: 3s", 1}} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, feedRoute(test.keys), func(t *testing.T, w *world) {
				l := newLedger()
				w.Stage.watch = l.watch
				c := gather(t, w.Bridge, clients, func(int) string { return "" }, func(int) int64 { return 1 }, nil)
				synctest.Wait()
				l.publish(3)
				before := len(l.opened())
				lost := time.Now()
				l.fails(status.Error(codes.Unavailable, "a deploy"))
				synctest.Wait()
				if test.gaps == 0 {
					l.publish(3)
				}
				time.Sleep(30 * time.Second)
				l.fails(nil)
				time.Sleep(11 * time.Second)
				l.publish(3)
				last := l.newest
				for _, e := range c.ears {
					if next, gaps := e.at(); next != last+1 || gaps != test.gaps {
						t.Fatalf("client %d has come to %d of %d, with %d gaps", e.name, next-1, last, gaps)
					}
				}
				if ended := c.ended(); ended > 0 {
					t.Errorf("%d connections ended", ended)
				}
				spaced(t, append([]time.Time{lost}, l.times[before:]...))
				if running, _ := l.now(); running != 1 {
					t.Errorf("%d RPCs run in the end", running)
				}
				c.goAway()
			})
		})
	}
}

// spaced checks that attempts follow the backoff of one topic: 100 ms, doubled up to 10 s, with a jitter of one half.
func spaced(t *testing.T, at []time.Time) {
	t.Helper()
	delay := 100 * time.Millisecond
	for i := 1; i < len(at); i++ {
		if pause := at[i].Sub(at[i-1]); pause < delay/2 || pause > delay+time.Millisecond {
			t.Errorf("attempt %d came after %v, want between %v and %v", i, pause, delay/2, delay)
		}
		delay = min(2*delay, 10*time.Second)
	}
	if len(at) < 8 {
		t.Errorf("%d attempts in 40 s", len(at)-1)
	}
}

// 10,000 clients reconnect to a new bridge with 10,000 different cursors (1,000 with the race
// detector). No event is lost, no more than limits.catchups RPCs replay at once, and one RPC is
// left.
func TestBridgeRestartsUnderACrowd(t *testing.T) {
	clients, catchUps := 10_000, 256
	if raceEnabled {
		clients /= 10
	}
	l := newLedger()
	b := backend(t)
	b.OnWatch(l.watch)
	l.change(func() { l.newest = int64(clients) })
	conn, err := grpc.NewClient(b.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	counted := &counting{ClientConn: conn}
	restarted, err := bridge.New(parse(t, fmt.Sprintf(
		"limits: {topics: %d, catchups: %d}\nupstreams: {app: {target: '%s'}}\n%s", 2*clients, catchUps, b.Target(),
		feedRoute("event: {id: seq}, resume: {field: after}, replay: {events: 100}"))), bridge.Options{
		Logger:      slog.New(slog.DiscardHandler),
		Upstreams:   map[string]grpc.ClientConnInterface{"app": counted},
		Descriptors: map[string]*protoregistry.Files{"app": protoregistry.GlobalFiles},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := restarted.Close(); err != nil {
			t.Error(err)
		}
	})
	moved := make(chan struct{}, 1)
	began := time.Now()
	c := gather(t, restarted, clients, func(i int) string { return strconv.Itoa(i + 1) }, func(i int) int64 { return int64(i) + 2 },
		func() {
			select {
			case moved <- struct{}{}:
			default:
			}
		})
	live := func(newest int64) bool {
		for _, e := range c.ears {
			if next, _ := e.at(); next != newest+1 {
				return false
			}
		}
		return true
	}
	for !live(int64(clients)) {
		<-moved
	}
	caughtUp := time.Since(began)

	// The stream continues, and all clients meet in one log.
	newest := int64(clients)
	for running := 2; running > 1; running, _ = l.now() {
		newest++
		l.change(func() { l.newest = newest })
		for !live(newest) {
			<-moved
		}
	}
	t.Logf("%d clients with different cursors have all events after %v, and share one RPC after %v; at most %d RPCs replay at once, %d run in all",
		clients, caughtUp.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), counted.most, len(l.opened()))
	if counted.most > catchUps+1 { // and the main log's RPC
		t.Errorf("%d RPCs replayed at once, limits.catchups is %d", counted.most, catchUps)
	}
	for _, e := range c.ears {
		if _, gaps := e.at(); gaps > 0 {
			t.Errorf("client %d was sent a gap", e.name)
		}
	}
	if ended := c.ended(); ended > 0 {
		t.Errorf("%d connections ended", ended)
	}
	c.goAway()
}
