package listen

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/ssebridge/ssebridge/internal/address"
)

// bothWays runs a test in clear and by TLS.
func bothWays(t *testing.T, test func(t *testing.T, secure *tls.Config)) {
	t.Helper()
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	certified.Close()
	t.Run("in clear", func(t *testing.T) { test(t, nil) })
	t.Run("by TLS", func(t *testing.T) {
		test(t, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: certified.TLS.Certificates})
	})
}

// framed is a client of HTTP/2 that speaks in frames.
type framed struct {
	net.Conn
	*http2.Framer

	stream uint32 // the last one
}

// begin begins to speak HTTP/2 over a connection, by TLS where the server does.
func begin(t *testing.T, conn net.Conn, secure *tls.Config) *framed {
	t.Helper()
	if secure != nil {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http2.NextProtoTLS}})
	}
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	write(t, conn, http2.ClientPreface)
	f := &framed{Conn: conn, Framer: http2.NewFramer(conn, conn)}
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return f
}

// ask sends a request.
func (f *framed) ask(t *testing.T) {
	t.Helper()
	if f.stream += 2; f.stream == 2 {
		f.stream = 1
	}
	err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: f.stream, BlockFragment: request(t), EndStream: true, EndHeaders: true})
	if err != nil {
		t.Fatal(err)
	}
}

// request is the head of a request, without what a dynamic table would need.
func request(t *testing.T) []byte {
	t.Helper()
	var head bytes.Buffer
	encoder := hpack.NewEncoder(&head)
	encoder.SetMaxDynamicTableSize(0)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "test"}, {":path", "/"}} {
		if err := encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			t.Fatal(err)
		}
	}
	return head.Bytes()
}

// answer returns the body of the next answer.
func (f *framed) answer(t *testing.T) string {
	t.Helper()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := frame.(*http2.DataFrame); ok {
			return string(data.Data())
		}
	}
}

// protocolOf answers with a request's protocol and the client's address.
func protocolOf(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, r.Proto+" "+r.RemoteAddr)
}

// TestBothProtocolsAreServed: in clear HTTP/2 comes with prior knowledge, by TLS with ALPN. The address of the PROXY header
// is known to either.
func TestBothProtocolsAreServed(t *testing.T) {
	bothWays(t, func(t *testing.T, secure *tls.Config) {
		proxied, _ := behind(t, tcp(t), time.Minute, loopback, secure)
		conn := dial(t, proxied)
		write(t, conn, proxyHeader(proxy, tcp4, addresses4, 0))
		f := begin(t, conn, secure)
		for range 2 {
			f.ask(t)
			if got := f.answer(t); got != client4 {
				t.Errorf("HTTP/2: %q", got)
			}
		}
		conn = dial(t, proxied)
		write(t, conn, proxyHeader(proxy, tcp4, addresses4, 0))
		if secure != nil {
			conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		}
		for range 2 {
			if status, got := get(t, conn, ""); status != http.StatusOK || got != client4 {
				t.Errorf("HTTP/1.1: %d, %q", status, got)
			}
		}
	})
}

// TestNothingOfABeginningIsLostWhereverItIsCut: a connection's first bytes come in any pieces.
func TestNothingOfABeginningIsLostWhereverItIsCut(t *testing.T) {
	proxied := NewProxied(ProxiedParams{Listener: tcp(t), Timeout: time.Minute, Logger: (&journal{}).logger()})
	serveHTTP(t, proxied, nil, protocolOf)
	var all bytes.Buffer
	all.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&all, nil)
	err := errors.Join(framer.WriteSettings(), framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: request(t), EndStream: true, EndHeaders: true,
	}))
	if err != nil {
		t.Fatal(err)
	}
	for cut := range all.Len() {
		conn := dial(t, proxied)
		write(t, conn, all.String()[:cut])
		write(t, conn, all.String()[cut:])
		f := &framed{Conn: conn, Framer: http2.NewFramer(conn, conn)}
		if got := f.answer(t); !strings.HasPrefix(got, "HTTP/2.0 ") {
			t.Errorf("cut at %d: %q", cut, got)
		}
		_ = conn.Close()
	}
}

// TestConnectionsThatOnlyLookLikeHTTP2AreNotServedAsIt: bytes that are not the preface of HTTP/2 are a request of HTTP/1.1, or
// are not answered.
func TestConnectionsThatOnlyLookLikeHTTP2AreNotServedAsIt(t *testing.T) {
	proxied := NewProxied(ProxiedParams{Listener: tcp(t), Timeout: time.Minute, Logger: (&journal{}).logger()})
	serveHTTP(t, proxied, nil, protocolOf)
	for sent, want := range map[string]string{
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX garbage":                   "",
		"PRI * HTTP/2.0\r\nHost: a\r\n\r\nSM\r\n\r\n":               "",
		"PRI /now HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n": "HTTP/1.1 200",
		"GET /now HTTP/2.0\r\nHost: a\r\n\r\n":                      "HTTP/1.1 505",
	} {
		conn := dial(t, proxied)
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		write(t, conn, sent)
		got := make([]byte, len("HTTP/1.1 200"))
		if n, _ := io.ReadFull(conn, got); string(got[:n]) != want { // it is closed, or reset
			t.Errorf("%q was answered %q, want %q", sent, got[:n], want)
		}
	}
}

// reading returns a connection of HTTP/2 on which a read has begun that is to pause for an hour, and the read's result.
func reading(t *testing.T, received int) (*Conn, <-chan error) {
	t.Helper()
	conn, peer := piped(t, attacker)
	conn.pause = func(origin) time.Duration { return time.Hour }
	conn.compared, conn.http2, conn.received = true, true, received
	go func() { _, _ = peer.Write([]byte{0}) }() // until it is read, or closed
	done := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		done <- err
	}()
	return conn, done
}

func TestAPauseTakesTwoSecondsAtMost(t *testing.T) {
	for received, want := range map[int]time.Duration{0: longestHeld, 1: 0, beginning - 1: 0, beginning: longestHeld} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			_, result := reading(t, received)
			if err := <-result; err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took != want {
				t.Errorf("a read after %d bytes took %v, want %v", received, took, want)
			}
		})
	}
}

func TestAPauseEndsWhenTheConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c, result := reading(t, beginning)
		synctest.Wait() // until it pauses
		select {
		case err := <-result:
			t.Fatalf("it did not pause: %v", err)
		default:
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-result; !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("got %v", err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("after that: %v", err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

// handover is a listener of one connection.
type handover struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (h handover) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h handover) Close() error {
	close(h.closed)
	return nil
}

func (handover) Addr() net.Addr { return &net.TCPAddr{} }

// TestAConnectionThatAlwaysPausesIsServed: net/http closes a connection whose SETTINGS do not come within 2 s of its preface.
// By TLS the first frame waits, and later the next read of the socket.
func TestAConnectionThatAlwaysPausesIsServed(t *testing.T) {
	bothWays(t, func(t *testing.T, secure *tls.Config) {
		synctest.Test(t, func(t *testing.T) {
			proxied := &Proxied{waiting: newWaiters((&journal{}).logger())}
			inner, peer := net.Pipe()
			conn := newConn(inner, netip.AddrPort{}, attacker, func(origin) time.Duration { return time.Hour })
			listener := handover{make(chan net.Conn, 1), make(chan struct{})}
			listener.conns <- conn
			server := &http.Server{
				Handler: http.HandlerFunc(protocolOf), TLSConfig: secure, Protocols: new(http.Protocols),
				ConnContext: proxied.ConnContext, ConnState: proxied.ConnState, ReadHeaderTimeout: 10 * time.Second,
			}
			server.Protocols.SetHTTP2(true)
			server.Protocols.SetUnencryptedHTTP2(true)
			served := make(chan error, 1)
			began := time.Now()
			go func() {
				if secure != nil {
					served <- server.ServeTLS(listener, "", "")
					return
				}
				served <- server.Serve(listener)
			}()
			asked := make(chan struct{})
			if secure != nil {
				peer = tls.Client(peer, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http2.NextProtoTLS}})
			}
			go func() {
				defer close(asked)
				var all bytes.Buffer
				all.WriteString(http2.ClientPreface)
				framer := http2.NewFramer(&all, nil)
				_ = errors.Join(framer.WriteSettings(), framer.WriteHeaders(http2.HeadersFrameParam{
					StreamID: 1, BlockFragment: request(t), EndStream: true, EndHeaders: true,
				})) // into memory
				_, _ = peer.Write(all.Bytes()) // or no answer comes
			}()
			f := &framed{Conn: peer, Framer: http2.NewFramer(io.Discard, peer)}
			if got := f.answer(t); !strings.HasPrefix(got, "HTTP/2.0 ") {
				t.Errorf("got %q", got)
			}
			if took := time.Since(began); took != longestHeld {
				t.Errorf("the answer took %v, want the pause before the first frame alone", took)
			}
			<-asked
			if err := errors.Join(server.Close(), peer.Close()); err != nil && secure == nil {
				t.Error(err)
			}
			if err := <-served; !errors.Is(err, http.ErrServerClosed) {
				t.Error(err)
			}
			synctest.Wait()
		})
	})
}

// TestRequestsOfHTTP2AreReadAtTheirPace: a connection of an address that owes requests is not read for a while, and the client
// sees no error.
func TestRequestsOfHTTP2AreReadAtTheirPace(t *testing.T) {
	bothWays(t, func(t *testing.T, secure *tls.Config) {
		proxied, _ := behind(t, tcp(t), time.Minute, loopback, secure)
		const perSecond = 2
		proxied.LimitPace(PaceLimits{Requests: perSecond, RequestsOwnOnly: true})
		conn := dial(t, proxied)
		write(t, conn, proxyHeader(proxy, tcp4, addresses4, 0))
		f := begin(t, conn, secure)
		began := time.Now()
		const more = 4
		for range address.Burst*perSecond + more {
			f.ask(t)
			f.answer(t)
		}
		// The first beyond the burst is served at once, and its debt is waited for before the next is read, or the one
		// after it, if the connection was being read before the handler counted the first.
		if took, least := time.Since(began), time.Second*(more-2)/perSecond; took < least {
			t.Errorf("%d requests beyond the burst took %v, want at least %v", more, took, least)
		}
	})
}

// TestAnIdleConnectionOfHTTP2IsToldFirst: the client has a moment in which its requests are still answered.
func TestAnIdleConnectionOfHTTP2IsToldFirst(t *testing.T) {
	bothWays(t, func(t *testing.T, secure *tls.Config) {
		proxied := NewProxied(ProxiedParams{Listener: tcp(t), Timeout: time.Minute, Idle: 50 * time.Millisecond, Logger: (&journal{}).logger()})
		serveHTTP(t, proxied, secure, protocolOf)
		f := begin(t, dial(t, proxied), secure)
		f.ask(t)
		answers, told := 0, 0
		var at time.Time
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				break // it is closed
			}
			switch frame := frame.(type) {
			case *http2.DataFrame:
				answers++
			case *http2.GoAwayFrame:
				if told++; frame.ErrCode != http2.ErrCodeNo || frame.LastStreamID != 1<<31-1 {
					t.Fatalf("told %v", frame)
				}
				at = time.Now()
				f.ask(t)
			}
		}
		if answers != 2 || told != 1 {
			t.Errorf("%d answers, told %d times, want 2 and 1", answers, told)
		}
		if took := time.Since(at); took < lastCall*9/10 || took > 10*time.Second {
			t.Errorf("it was closed %v after it was told", took)
		}
	})
}

// TestAnIdleConnectionOfHTTP1IsClosed: also one that never sends a request, whose head is waited for.
func TestAnIdleConnectionOfHTTP1IsClosed(t *testing.T) {
	bothWays(t, func(t *testing.T, secure *tls.Config) {
		proxied := NewProxied(ProxiedParams{Listener: tcp(t), Timeout: time.Minute, Idle: 50 * time.Millisecond, Logger: (&journal{}).logger()})
		serveHTTP(t, proxied, secure, protocolOf)
		conn := dial(t, proxied)
		if secure != nil {
			conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		}
		if status, _ := get(t, conn, ""); status != http.StatusOK {
			t.Errorf("got %d", status)
		}
		if rest, err := io.ReadAll(conn); len(rest) > 0 || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
		if waits, _, _ := proxied.Waiting(); waits != 0 {
			t.Errorf("%d connections wait", waits)
		}
	})
}

// TestAConnectionWithAStreamIsNotIdle: however silent the stream is.
func TestAConnectionWithAStreamIsNotIdle(t *testing.T) {
	bothWays(t, func(t *testing.T, secure *tls.Config) {
		const idle = 50 * time.Millisecond
		proxied := NewProxied(ProxiedParams{Listener: tcp(t), Timeout: time.Minute, Idle: idle, Logger: (&journal{}).logger()})
		serveHTTP(t, proxied, secure, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(20 * idle)
			protocolOf(w, r)
		})
		f := begin(t, dial(t, proxied), secure)
		f.ask(t)
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if _, told := frame.(*http2.GoAwayFrame); told {
				t.Fatal("it is told to go while its stream lasts")
			}
			if _, ok := frame.(*http2.DataFrame); ok {
				return
			}
		}
	})
}
