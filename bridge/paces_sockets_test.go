package bridge_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// The size of TestClientsDoNotWaitForSlowSockets; `make paces` runs the full size.
var (
	paceClients = flag.Int("pace-clients", 10, "how many clients return at one cursor")
	paceBehind  = flag.Int64("pace-behind", 1000, "how many messages they have missed")
	paceRate    = flag.Int64("pace-rate", 1000, "how many messages of its history the backend sends in a second; 0: all at once")
)

// smallBuffers is the size of socket buffers, so that a client that does not read has an effect
// after some dozens of messages, not after thousands.
const smallBuffers = 8 << 10

// head is the number of bytes that a client reads before it stops reading: a handshake, the
// response's head and some messages.
const head = 6 << 10

// tight is a listener whose connections have small buffers. They are *net.TCPConn, as the shard needs them.
type tight struct{ net.Listener }

// Accept accepts a connection.
func (l tight) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		err = conn.(*net.TCPConn).SetWriteBuffer(smallBuffers) //nolint:errcheck // it listens to TCP
	}
	return conn, err
}

// transportKind is the protocol between clients and the bridge.
type transportKind struct {
	name          string
	framed, plain bool // over HTTP/2; without TLS
}

// paceRun is a bridge between a river and clients of several speeds.
type paceRun struct {
	t      *testing.T
	kind   transportKind
	bridge *bridge.Bridge
	url    string
	river  *river
	gone   context.Context // ends with the run

	clients sync.WaitGroup
}

// transport returns a transport with a connection of its own.
func (r *paceRun) transport(l link) *http.Transport {
	transport := &http.Transport{
		DisableCompression: true, Protocols: new(http.Protocols),
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		HTTP2:           &http.HTTP2Config{MaxReceiveBufferPerStream: 32 << 10, MaxReceiveBufferPerConnection: 64 << 10},
	}
	transport.Protocols.SetHTTP1(!r.kind.framed)
	transport.Protocols.SetUnencryptedHTTP2(r.kind.framed && r.kind.plain)
	transport.Protocols.SetHTTP2(r.kind.framed && !r.kind.plain)
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if l.rate > 0 || l.shut != nil {
			err = conn.(*net.TCPConn).SetReadBuffer(smallBuffers) //nolint:errcheck // it dials TCP
		}
		return &narrow{Conn: conn, link: l, gone: r.gone}, err
	}
	return transport
}

// checker is a client that checks each event as it arrives, and reconnects when it is cut, as a
// browser does. It stores no events, so that many are cheap.
type checker struct {
	run  *paceRun
	http *http.Transport
	last atomic.Int64 // the newest message that it has
}

// returns connects a client that has the first message.
func (r *paceRun) returns(l link) *checker {
	c := &checker{run: r, http: r.transport(l)}
	c.last.Store(1)
	r.clients.Go(func() {
		defer c.http.CloseIdleConnections()
		for r.gone.Err() == nil {
			if err := c.follow(); err != nil {
				r.t.Error(err)
				return
			}
			waitFor(r.gone, 20*time.Millisecond)
		}
	})
	return c
}

// follow reads one response until it ends. An error is a fault of the stream; the connection may fail.
func (c *checker) follow() error {
	request, err := http.NewRequestWithContext(c.run.gone, http.MethodGet, c.run.url, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Last-Event-ID", strconv.FormatInt(c.last.Load(), 10))
	response, err := c.http.RoundTrip(request)
	if err != nil {
		return nil // the client reconnects
	}
	defer response.Body.Close() //nolint:errcheck // nothing is to be written
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("a client is answered %s", response.Status)
	}
	id, name := "", ""
	for lines := bufio.NewReader(response.Body); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return nil // the client reconnects
		}
		switch field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); field {
		case "id":
			id = value
		case "event":
			name = value
		case "data":
			last := c.last.Load()
			switch {
			case (name == "stream-open" || name == "stream-retry") && id == strconv.FormatInt(last, 10):
			case name == "" && id == strconv.FormatInt(last+1, 10):
				c.last.Store(last + 1)
			default:
				return fmt.Errorf("a client received %q %q behind message %d", name, id, last)
			}
			name = ""
		}
	}
}

// await waits until each of the clients has had the message that was the newest at the start of the wait.
func (r *paceRun) await(seq func() int64, clients ...*checker) {
	r.t.Helper()
	waiting := slices.Clone(clients)
	for began := time.Now(); len(waiting) > 0 && !r.t.Failed(); waitFor(r.gone, 5*time.Millisecond) {
		least := seq()
		waiting = slices.DeleteFunc(waiting, func(c *checker) bool { return c.last.Load() >= least })
		if len(waiting) > 0 && time.Since(began) > 3*time.Minute {
			r.t.Fatalf("a client is at message %d of %d after three minutes", waiting[0].last.Load(), least)
		}
	}
}

// Many clients reconnect at one cursor, together with a client of 8 KiB/s, one that reads nothing
// until it is cut, the dead connection of one of the many, and one that is frozen and reconnects.
// The many are up to date within 1.5 times the time that they need alone, and each client, the slow
// ones too, has all messages exactly once and in order, to the last one of the stream.
func TestClientsDoNotWaitForSlowSockets(t *testing.T) {
	for _, kind := range []transportKind{{"HTTP/1.1", false, true}, {"h2c", true, true}, {"TLS", true, false}} {
		t.Run(kind.name, func(t *testing.T) {
			// The many run alone before and after, because the load of the machine may change.
			alone := paceOf(t, kind, false)
			took := paceOf(t, kind, true)
			alone = max(alone, paceOf(t, kind, false))
			t.Logf("%d clients, %d behind, are up to date after %v, and after %v alone: %.2f times", *paceClients, *paceBehind,
				took.Round(time.Millisecond), alone.Round(time.Millisecond), took.Seconds()/alone.Seconds())
			atMost := alone * 3 / 2
			if *paceRate == 0 {
				atMost = max(atMost, alone+time.Second) // a slow client is parted after 250 ms, however short the replay is
			}
			if took > atMost {
				t.Errorf("clients wait for slow ones: %v instead of %v", took, alone)
			}
		})
	}
}

// paceOf returns the time until the clients are up to date.
func paceOf(t *testing.T, kind transportKind, slow bool) (took time.Duration) {
	t.Helper()
	app := backend(t)
	source := &river{history: *paceBehind, began: time.Now(), rate: *paceRate}
	app.OnWatch(source.watch)
	b, err := bridge.New(parse(t, "upstreams: {app: {target: '"+app.Target()+"'}}\ndrain: {delay: 0s, grace: 0s}\n"+
		feedRoute("event: {id: seq}, resume: {field: after}, replay: {events: 64}, write_timeout: 3s")), bridge.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(b)
	server.Listener = tight{server.Listener}
	server.Config.Protocols = protocols(!kind.framed, kind.framed && kind.plain)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	if server.EnableHTTP2 = kind.framed && !kind.plain; kind.plain {
		server.Start()
	} else {
		server.Config.Protocols.SetHTTP2(true)
		server.StartTLS()
	}
	gone, leave := context.WithCancel(context.Background())
	r := &paceRun{t: t, kind: kind, bridge: b, url: server.URL + "/feed", river: source, gone: gone}
	defer func() {
		leave()
		r.clients.Wait()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
	}()
	return r.play(slow)
}

func (r *paceRun) play(slow bool) (took time.Duration) {
	r.t.Helper()
	warm := ssetest.Connect(r.t, r.url, ssetest.Options{Transport: r.transport(link{})}) // loads the schema
	warm.Await("to be open", func(s ssetest.Snapshot) bool { return len(s.Events) > 0 })
	warm.Close()
	var fast, dead, frozen atomic.Bool
	var slower, many []*checker
	if slow {
		dead.Store(true)
		frozen.Store(true)
		slower = append(slower, r.returns(link{shut: &dead, head: head}), r.returns(link{shut: &frozen, head: head}),
			r.returns(link{rate: 8 << 10, free: &fast}))
		r.returns(link{shut: &dead, head: head}) // the previous connection of one of the many
	}
	began := time.Now()
	for range *paceClients {
		many = append(many, r.returns(link{}))
	}
	r.await(func() int64 { return r.river.newest() - 10 }, many...)
	took = time.Since(began)
	if slow {
		frozen.Store(false)
		eventually(r.t, "the two that read nothing to be cut", func() bool { return r.bridge.TakenSlots() <= *paceClients+2 })
		dead.Store(false)
		fast.Store(true)
	}
	last := r.river.stop()
	r.await(func() int64 { return last }, append(slower, many...)...)
	return took
}
