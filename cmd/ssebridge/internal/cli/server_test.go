package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
	"github.com/ssebridge/ssebridge/cmd/ssebridge/internal/demo"
)

// startBackend runs the demo's backend until the test ends and returns where.
func startBackend(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- demo.NewBackend().Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// startServe serves the clock of a demo backend, by further lines of the configuration, and returns the addresses.
func startServe(t *testing.T, more ...string) (r *running, public, admin string) {
	t.Helper()
	r = start(t, "serve", "--log-format", "text", "--config", file(t, "ssebridge.yaml", fmt.Sprintf(`
listen: 127.0.0.1:0
admin: 127.0.0.1:0
drain: {delay: 10ms, grace: 50ms}
upstreams:
  app: {target: "%s"}
routes:
  - path: /clock
    rpc: ssebridge.demo.v1.ClockService/Watch
    upstream: app
    share: true
%s
`, startBackend(t), strings.Join(more, "\n"))))
	public = "http://" + addr(t, r.stderr.await(t, "msg=listening", "on=listen"))
	admin = "http://" + addr(t, r.stderr.await(t, "msg=listening", "on=admin"))
	return r, public, admin
}

func TestServeDrainsItsClientsAndExitsClean(t *testing.T) {
	r, public, admin := startServe(t)
	client := ssetest.Connect(t, public+"/clock", ssetest.Options{})
	client.AwaitMessages(1)
	for _, path := range []string{"/healthz", "/readyz"} {
		answer, err := http.Get(admin + path)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %d, %v", path, answer.StatusCode, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()

	if code := r.end(); code != ExitOK {
		t.Fatalf("exit %d\n%s", code, r.stderr)
	}
	if got := client.AwaitNamed("stream-retry", 0).Data; !strings.Contains(got, `"drain"`) {
		t.Errorf("the client was told %s", got)
	}
	r.stderr.await(t, "msg=\"stopping: ", "delay=10ms", "grace=50ms", "clients=1")
	r.stderr.await(t, "msg=stopped")
}

// A trusted proxy may bring many clients over one connection of HTTP/2 in clear.
func TestServeSpeaksHTTP2InClear(t *testing.T) {
	_, public, _ := startServe(t, "trusted_proxies: [127.0.0.1]")
	const clients = 300 // more than a client of its own may have
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	transport.HTTP2 = &http.HTTP2Config{StrictMaxConcurrentRequests: true} // one connection, or wait
	t.Cleanup(transport.CloseIdleConnections)
	all := make([]*ssetest.Client, clients)
	for i := range all {
		all[i] = ssetest.Connect(t, public+"/clock", ssetest.Options{Transport: transport})
	}
	for _, client := range all {
		client.AwaitMessages(1)
	}
}

// A trusted proxy's clients above limits.clients come in over the same connection, and are told to come back: their proxy's
// connection is not closed for them. One that is a client's own gets GOAWAY, as another bridge may have room.
func TestServeShedsOverHTTP2(t *testing.T) {
	const clients, above = 20, 100
	_, public, _ := startServe(t, "limits: {clients: 20}\ntrusted_proxies: [127.0.0.1]")
	header := http.Header{"X-Forwarded-For": {"192.0.2.1"}}
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	transport.HTTP2 = &http.HTTP2Config{StrictMaxConcurrentRequests: true} // one connection, or wait
	t.Cleanup(transport.CloseIdleConnections)
	clientsInside := make([]*ssetest.Client, clients)
	for i := range clientsInside {
		clientsInside[i] = ssetest.Connect(t, public+"/clock", ssetest.Options{Transport: transport, Header: header})
	}
	for _, client := range clientsInside {
		client.AwaitMessages(1)
	}
	all := make([]*ssetest.Client, above)
	for i := range all {
		all[i] = ssetest.Connect(t, public+"/clock", ssetest.Options{Transport: transport, Header: header})
	}
	for _, client := range all {
		if told := client.AwaitNamed("stream-retry", 0).Data; told != `{"reason":"shed"}` {
			t.Errorf("told %s", told)
		}
	}
}

// script is an application that notes what it is told.
type script struct {
	mu    sync.Mutex
	notes []string

	drain   func(ctx context.Context) error
	clients int
}

func (s *script) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = append(s.notes, text)
}

func (s *script) Drain(ctx context.Context) error {
	s.note("drain")
	if s.drain != nil {
		return s.drain(ctx)
	}
	return nil
}

func (s *script) Clients() int { return s.clients }

func (s *script) DrainTimes() (delay, grace time.Duration) { return 5 * time.Second, 20 * time.Second }

func (s *script) Close() error {
	s.note("close")
	return nil
}

// serving serves an application on two ports of its own.
func (s *script) serving(t *testing.T) *serving {
	t.Helper()
	at := func(name string) *endpoint {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return &endpoint{name: name, server: newServer(serverParams{handler: http.NotFoundHandler(), logger: slog.New(slog.DiscardHandler), patience: usualPatience()}), listener: listener}
	}
	return &serving{
		app: s, logger: slog.New(slog.DiscardHandler), public: []*endpoint{at("listen")}, admin: at("admin"),
	}
}

func TestRunAsksClientsWhileEverythingIsStillServed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	app := &script{}
	s := app.serving(t)
	app.drain = func(context.Context) error {
		for _, e := range []*endpoint{s.public[0], s.admin} {
			conn, err := net.Dial("tcp", e.listener.Addr().String())
			if err != nil {
				t.Errorf("%s is closed while clients are told: %v", e.name, err)
				continue
			}
			_ = conn.Close()
		}
		return nil
	}
	cancel()
	if err := s.run(ctx); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(app.notes, " "); got != "drain close" {
		t.Errorf("%s, want drain close", got)
	}
}

// How long a drain takes is in the application's configuration, which a reload may have replaced: a deadline of the
// command's would cut clients that are to be told.
func TestRunLeavesTheDrainItsTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	app := &script{drain: func(ctx context.Context) error {
		if deadline, bounded := ctx.Deadline(); bounded {
			t.Errorf("the drain is to end at %v", deadline)
		}
		return errors.New("some had to be cut")
	}}
	cancel()
	if err := app.serving(t).run(ctx); err != nil {
		t.Fatalf("clients that had to be cut are no failure: %v", err)
	}
}

// Ctrl-C ends a bridge without clients at once. A balancer may still send
// clients to one that a service manager stops.
func TestOnlyAnInterruptSkipsTheDrainAndOnlyWithoutClients(t *testing.T) {
	for _, tc := range []struct {
		signal  os.Signal
		clients int
		want    string
	}{
		{os.Interrupt, 0, "close"},
		{os.Interrupt, 1, "drain close"},
		{syscall.SIGTERM, 0, "drain close"},
	} {
		app := &script{clients: tc.clients}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(Cause(tc.signal))
		if err := app.serving(t).run(ctx); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(app.notes, " "); got != tc.want {
			t.Errorf("%v with %d clients: %s, want %s", tc.signal, tc.clients, got, tc.want)
		}
	}
}

func TestEndDoesNotWaitForeverForAReload(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	ended := make(chan struct{})
	awaitReload(ended, time.Nanosecond, logger)
	if !strings.Contains(log.String(), "not waited for any longer") {
		t.Errorf("the log says %q", log.String())
	}
	log.Reset()
	close(ended)
	awaitReload(ended, time.Hour, logger)
	if log.Len() > 0 {
		t.Errorf("the log says %q", log.String())
	}
}

func TestRunEndsWhenAListenerBreaks(t *testing.T) {
	for _, name := range []string{"listen", "admin"} {
		t.Run(name, func(t *testing.T) {
			app := &script{}
			s := app.serving(t)
			broken := s.public[0]
			if name == "admin" {
				broken = s.admin
			}
			if err := broken.listener.Close(); err != nil {
				t.Fatal(err)
			}
			err := s.run(t.Context())
			if err == nil || !strings.HasPrefix(err.Error(), name+": ") {
				t.Fatalf("got %v", err)
			}
			if got := strings.Join(app.notes, " "); got != "close" {
				t.Errorf("%s, want close", got)
			}
		})
	}
}

// The heads of requests do not live as long as their streams: over HTTP/2, net/http by itself keeps them.
func TestServeFreesTheHeadsOfStreams(t *testing.T) {
	_, public, _ := startServe(t, "")
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	const clients, size = 50, 60 << 10
	// grown is how much memory as many clients take, whose requests have a header of that size, when it is no more than that.
	grown := func(size int, most int64) int64 {
		before := heapInUse()
		header := http.Header{"X-Large": {strings.Repeat("x", size)}}
		var all []*ssetest.Client
		for range clients {
			all = append(all, ssetest.Connect(t, public+"/clock", ssetest.Options{Transport: transport, Header: header}))
		}
		for _, client := range all {
			client.AwaitMessages(1)
		}

		// On a busy machine, handlers and the client's own buffers are let go of later than the first event comes.
		taken := heapInUse() - before
		for limit := time.Now().Add(10 * time.Second); taken > most && time.Now().Before(limit); {
			taken = heapInUse() - before
		}
		return taken
	}
	grown(1, math.MaxInt64) // what is made once
	small := grown(1, math.MaxInt64)
	large := grown(size, small+clients*size/2)
	if kept := (large - small) / clients; kept > size/2 {
		t.Errorf("a stream keeps %d bytes of a head of %d", kept, size)
	}
}

// heapInUse returns how much memory is in use after a collection.
func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
