package bridge_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// world is a bridge between a real gRPC server and a real HTTP server. All three are connected by
// pipes in memory inside a synctest bubble, so that an hour passes in no time, and only when all
// goroutines are blocked.
type world struct {
	// TB hides the test's Deadline from ssetest, because it is in real time.
	testing.TB

	Bridge *bridge.Bridge
	Stage  *stage
	Logged *logs
	// Cable is the newest connection from the bridge to the backend.
	Cable *cable

	front *pipes
	back  *pipes
	http1 *http.Transport
	http2 *http.Transport

	ledger *ledger // set by backend
	config config.Config
	conn   *grpc.ClientConn // to the backend
	adjust func(*bridge.Options)
}

// inWorld runs a test in a world of its own. settings is the YAML without "upstreams".
func inWorld(t *testing.T, settings string, play func(t *testing.T, w *world)) {
	t.Helper()
	inWorldWith(t, settings, func(*bridge.Options) {}, play)
}

// inWorldWith is inWorld with other options of the bridge.
func inWorldWith(t *testing.T, settings string, adjust func(*bridge.Options), play func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { play(t, newWorld(t, settings, adjust)) })
}

// feedRoute is the YAML of a configuration with one route, /feed. keys are further keys of it.
func feedRoute(keys string) string {
	if !strings.Contains(keys, "share:") {
		keys = strings.Trim("share: true, "+keys, ", ")
	}
	return "routes: [{path: /feed, rpc: " + watch + ", upstream: app, " + keys + "}]"
}

func newWorld(t *testing.T, settings string, adjust func(*bridge.Options)) *world {
	t.Helper()
	cfg := parse(t, "upstreams: {app: {target: 'passthrough:///memory'}}\n"+settings)
	w := &world{TB: t, Stage: newStage(), Logged: &logs{}, front: listenInMemory(), adjust: adjust}
	w.http1, w.http2 = w.transport(false), w.transport(true)

	back := listenInMemory()
	w.back = back
	backend := grpc.NewServer()
	testv1.RegisterFeedServiceServer(backend, w.Stage)
	go func() { _ = backend.Serve(back) }()
	conn, err := grpc.NewClient("passthrough:///memory",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			conn, err := back.Dial(ctx)
			w.Cable = &cable{Conn: conn}
			return w.Cable, err
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	w.config, w.conn = cfg, conn

	t.Cleanup(func() {
		_ = conn.Close()
		backend.Stop()
	})
	w.Bridge = w.open(w.front)
	t.Cleanup(func() {
		w.http1.CloseIdleConnections()
		w.http2.CloseIdleConnections()
	})
	return w
}

// open runs a bridge of the world's configuration in front of its backend.
func (w *world) open(front *pipes) *bridge.Bridge {
	w.Helper()
	options := bridge.Options{
		Logger:      slog.New(slog.NewTextHandler(w.Logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Upstreams:   map[string]grpc.ClientConnInterface{"app": w.conn},
		Descriptors: map[string]*protoregistry.Files{"app": protoregistry.GlobalFiles},
	}
	w.adjust(&options)
	b, err := bridge.New(w.config, options)
	if err != nil {
		w.Fatal(err)
	}
	w.Logged.of(b)
	web := &http.Server{
		Handler: b, Protocols: protocols(true, true), ReadHeaderTimeout: time.Minute,
		WriteTimeout: time.Minute, // the bridge has to lift it
	}
	go func() { _ = web.Serve(front) }()
	w.Cleanup(func() {
		if err := b.Close(); err != nil {
			w.Error(err)
		}
		_ = web.Close()
	})
	return b
}

// cable is a connection whose errors name both ends, as those of TCP do.
type cable struct{ net.Conn }

func (c *cable) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		err = errors.New("read tcp 10.0.0.7:41234->10.0.0.5:50051: read: connection reset by peer")
	}
	return n, err
}

func protocols(one, two bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(one)
	p.SetUnencryptedHTTP2(two)
	return p
}

func (w *world) transport(h2 bool) *http.Transport {
	return &http.Transport{
		DisableCompression: true,
		Protocols:          protocols(!h2, h2),
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return w.front.Dial(ctx) },
	}
}

// listen connects a client that behaves like a browser, and returns when all goroutines are blocked.
func (w *world) listen(path string, o ssetest.Options) *ssetest.Client {
	w.Helper()
	defer synctest.Wait()
	return w.connect(path, o)
}

// connect connects a client and does not wait.
func (w *world) connect(path string, o ssetest.Options) *ssetest.Client {
	w.Helper()
	if o.Transport == nil {
		o.Transport = w.http1
		if o.H2C {
			o.Transport = w.http2
		}
	}
	return ssetest.Connect(w, "http://bridge"+path, o)
}

// do sends a request and reads the whole answer. headers are pairs of a name and a value.
func (w *world) do(method, path, body string, headers ...string) reply {
	w.Helper()
	request, err := http.NewRequestWithContext(w.Context(), method, "http://bridge"+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	if _, given := request.Header["Content-Type"]; method == http.MethodPost && !given {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := w.http1.RoundTrip(request)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(text)}
}

// rpc waits for the next RPC that the bridge opens.
func (w *world) rpc() *rpc {
	w.Helper()
	select {
	case c := <-w.Stage.calls:
		c.tb = w
		return c
	case <-time.After(time.Minute):
		w.Fatal("no RPC was opened within a minute")
		return nil
	}
}

// noRPC waits until all goroutines are blocked, and expects no RPC that the test has not received.
func (w *world) noRPC() {
	w.Helper()
	synctest.Wait()
	if n := len(w.Stage.calls); n > 0 {
		w.Fatalf("%d RPCs were opened, want none", n)
	}
}

// stage is a backend whose RPCs the test plays, command by command.
type stage struct {
	testv1.UnimplementedFeedServiceServer

	calls          chan *rpc // has room for all RPCs of a test; never closed
	opens, running atomic.Int32

	// Set before the first request. If they are nil, Watch is played by the test, and the others echo.
	watch func(*testv1.WatchRequest, grpc.ServerStreamingServer[testv1.FeedEvent]) error
	get   func(context.Context, *testv1.GetRequest) (*testv1.GetResponse, error)
	put   func(context.Context, *testv1.PutRequest) (*testv1.PutResponse, error)
}

func newStage() *stage { return &stage{calls: make(chan *rpc, 1<<12)} }

// rpc is a running Watch RPC in the backend.
type rpc struct {
	Request  *testv1.WatchRequest
	Metadata metadata.MD
	// Gone is closed when the bridge has cancelled the RPC.
	Gone <-chan struct{}

	tb       testing.TB
	commands chan func(stream grpc.ServerStreamingServer[testv1.FeedEvent]) *rpcEnd
}

// rpcEnd ends an RPC. A nil err is OK.
type rpcEnd struct{ err error }

func (s *stage) Watch(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	s.opens.Add(1)
	s.running.Add(1)
	defer s.running.Add(-1)
	if s.watch != nil {
		return s.watch(request, stream)
	}
	md, _ := metadata.FromIncomingContext(stream.Context())
	c := &rpc{
		Request: request, Metadata: md, Gone: stream.Context().Done(),
		commands: make(chan func(grpc.ServerStreamingServer[testv1.FeedEvent]) *rpcEnd),
	}
	s.calls <- c
	for {
		select {
		case command := <-c.commands:
			if end := command(stream); end != nil {
				return end.err
			}
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

func (s *stage) Get(ctx context.Context, request *testv1.GetRequest) (*testv1.GetResponse, error) {
	if s.get != nil {
		return s.get(ctx, request)
	}
	return &testv1.GetResponse{Name: request.GetName(), Kinds: request.GetKinds()}, nil
}

func (s *stage) Put(ctx context.Context, request *testv1.PutRequest) (*testv1.PutResponse, error) {
	if s.put != nil {
		return s.put(ctx, request)
	}
	return &testv1.PutResponse{Name: request.GetName(), Kinds: request.GetKinds()}, nil
}

// play runs a command in the RPC's handler and waits for its end.
func (c *rpc) play(command func(stream grpc.ServerStreamingServer[testv1.FeedEvent]) *rpcEnd) {
	c.tb.Helper()
	done := make(chan struct{})
	select {
	case c.commands <- func(stream grpc.ServerStreamingServer[testv1.FeedEvent]) *rpcEnd {
		defer close(done)
		return command(stream)
	}:
		<-done
	case <-c.Gone:
		c.tb.Error("the bridge has cancelled the RPC")
	}
}

// accept sends the response's headers.
func (c *rpc) accept() {
	c.tb.Helper()
	c.play(func(stream grpc.ServerStreamingServer[testv1.FeedEvent]) *rpcEnd {
		if err := stream.SendHeader(nil); err != nil {
			c.tb.Error(err)
		}
		return nil
	})
}

func (c *rpc) send(events ...*testv1.FeedEvent) {
	c.tb.Helper()
	c.play(func(stream grpc.ServerStreamingServer[testv1.FeedEvent]) *rpcEnd {
		for _, event := range events {
			if err := stream.Send(event); err != nil {
				c.tb.Error(err)
			}
		}
		return nil
	})
}

// count sends events with the seqs from first to last. It waits after each until all goroutines are blocked.
func (c *rpc) count(first, last int64) {
	c.tb.Helper()
	for seq := first; seq <= last; seq++ {
		c.send(&testv1.FeedEvent{Seq: seq})
		synctest.Wait()
	}
}

// end ends the RPC. A nil err is OK. trailers are pairs of a name and a value.
func (c *rpc) end(err error, trailers ...string) {
	c.tb.Helper()
	c.play(func(stream grpc.ServerStreamingServer[testv1.FeedEvent]) *rpcEnd {
		stream.SetTrailer(metadata.Pairs(trailers...))
		return &rpcEnd{err}
	})
}

// numbers answers each Watch with n messages, and ends it with err.
func numbers(n int64, err error) func(*testv1.WatchRequest, grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	return func(_ *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
		for seq := range n {
			if err := stream.Send(&testv1.FeedEvent{Seq: seq + 1}); err != nil {
				return err
			}
		}
		return err
	}
}

// unknownAny is an event that cannot be shown: it has an Any of an unknown type.
func unknownAny(kind string) *testv1.FeedEvent {
	return &testv1.FeedEvent{Kind: kind, Extra: &anypb.Any{TypeUrl: "type.example/nobody.knows.This"}}
}

var (
	retryLine = regexp.MustCompile(`(?m)^retry: [0-9]+$`)
	finalSum  = regexp.MustCompile(`~[A-Z2-7]{3}~end\b`)
	anyEpoch  = regexp.MustCompile(`\b[A-Z2-7]{26}\b`)
)

// canonical replaces the parts of a text that differ from run to run.
func canonical(text string) string {
	text = finalSum.ReplaceAllString(retryLine.ReplaceAllString(text, "retry: N"), "~end")
	return anyEpoch.ReplaceAllString(text, "EPOCH")
}

// transcript returns the bytes of all events of a client, over all its connections.
func transcript(s ssetest.Snapshot) string {
	var text strings.Builder
	for _, event := range s.Events {
		text.Write(event.Raw)
	}
	return canonical(text.String())
}

// story returns a word for each event of a client: the seq of a message, the name and reason of a control event.
func story(s ssetest.Snapshot) string {
	var words []string
	for _, event := range s.Events {
		words = append(words, word(event))
	}
	return strings.Join(words, " ")
}

var (
	seqOf    = regexp.MustCompile(`"seq":"([0-9]+)"`)
	reasonOf = regexp.MustCompile(`"reason":"([a-z_]+)"`)
	statusOf = regexp.MustCompile(`"status":"([A-Z_0-9]+)"`)
)

func word(event ssetest.Event) string {
	switch {
	case !event.Control():
		if seq := seqOf.FindStringSubmatch(event.Data); seq != nil {
			return seq[1]
		}
		return event.Data
	case event.Name == "stream-error":
		return "error:" + statusOf.FindStringSubmatch(event.Data)[1]
	}
	text := strings.TrimPrefix(event.Name, "stream-")
	if reason := reasonOf.FindStringSubmatch(event.Data); reason != nil {
		text += ":" + reason[1]
	}
	return text
}

// expect waits until all goroutines are blocked, and compares the client's story.
func expect(tb testing.TB, c *ssetest.Client, want string) {
	tb.Helper()
	c.AwaitStatus()
	synctest.Wait()
	if got := story(c.Snapshot()); got != want {
		tb.Fatalf("the client saw  %s\nwant            %s\n%s", got, want, c.Snapshot())
	}
}
