package listen

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// behind serves HTTP behind a listener that trusts these, until the test ends. Each
// answer is the client's address as the handler sees it.
func behind(t *testing.T, inner net.Listener, timeout time.Duration, trusted []netip.Prefix, config *tls.Config) (*Proxied, *journal) {
	t.Helper()
	log := &journal{}
	proxied := NewProxied(ProxiedParams{Listener: inner, Timeout: timeout, Logger: log.logger()})
	proxied.Trust(trusted)
	serveHTTP(t, proxied, config, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RemoteAddr) })
	return proxied, log
}

// serveHTTP serves all connections of a listener until the test ends.
func serveHTTP(t *testing.T, proxied *Proxied, config *tls.Config, handler http.HandlerFunc) {
	t.Helper()
	server := &http.Server{
		Handler:     proxied.Handler(handler),
		Protocols:   new(http.Protocols),
		ConnContext: proxied.ConnContext,
		ConnState:   proxied.ConnState,
		TLSConfig:   config,
		ErrorLog:    log.New(t.Output(), "", 0),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(config != nil)
	server.Protocols.SetUnencryptedHTTP2(config == nil)
	served := make(chan error, 2)
	for _, listener := range []net.Listener{proxied, proxied.Proxies()} {
		go func() {
			if config != nil {
				served <- server.ServeTLS(listener, "", "")
				return
			}
			served <- server.Serve(listener)
		}()
	}
	t.Cleanup(func() {
		_ = server.Close() // the second of the listeners is closed with the first
		for range 2 {
			if err := <-served; !errors.Is(err, http.ErrServerClosed) {
				t.Error(err)
			}
		}
	})
}

// get sends a request behind a text, and returns the answer's status and body.
func get(t *testing.T, conn net.Conn, before string) (int, string) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	write(t, conn, before+"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, answer.Body)
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestTrustedPeersNameTheClient(t *testing.T) {
	proxied, log := behind(t, tcp(t), time.Minute, loopback, nil)
	for name, tc := range map[string]struct{ header, want string }{
		"header":    {proxyHeader(proxy, tcp4, addresses4, 40), client4},
		"IPv6":      {proxyHeader(proxy, tcp6, addresses6, 0), "[2001:db8::7]:4199"},
		"itself":    {proxyHeader(local, 0, "", 0), ""},
		"no header": {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, proxied)
			if tc.want == "" {
				tc.want = conn.LocalAddr().String()
			}
			if status, got := get(t, conn, tc.header); status != http.StatusOK || got != tc.want {
				t.Errorf("got %d, %s, want %s", status, got, tc.want)
			}
			if status, got := get(t, conn, ""); status != http.StatusOK || got != tc.want {
				t.Errorf("the second request: got %d, %s, want %s", status, got, tc.want)
			}
		})
	}
	if log.String() != "" {
		t.Error(log)
	}
	proxied.mu.Lock()
	defer proxied.mu.Unlock()
	if len(proxied.reading) > 0 {
		t.Errorf("kept: %v", proxied.reading)
	}
}

func TestHeaderOfAnUntrustedPeerIsGarbage(t *testing.T) {
	for name, trusted := range map[string][]netip.Prefix{"none": nil, "others": {netip.MustParsePrefix("10.0.0.0/8")}} {
		t.Run(name, func(t *testing.T) {
			proxied, _ := behind(t, tcp(t), time.Minute, trusted, nil)
			if status, _ := get(t, dial(t, proxied), proxyHeader(proxy, tcp4, addresses4, 0)); status != http.StatusBadRequest {
				t.Errorf("got %d", status)
			}
		})
	}
}

// Version 1 is garbage to HTTP, too, and the log has the reason; once, however many
// connections begin like that. A method that begins like it is none.
func TestVersion1OfATrustedPeerIsLogged(t *testing.T) {
	proxied, log := behind(t, tcp(t), time.Minute, loopback, nil)
	if status, _ := get(t, dial(t, proxied), "PRO"); status != http.StatusOK { // PROGET
		t.Errorf("a method that begins with the same letters: %d", status)
	}
	if log.String() != "" {
		t.Errorf("the log says %q", log)
	}
	for _, header := range []string{
		"PROXY TCP4 203.0.113.7 10.0.0.1 4199 443\r\n", "PROXY TCP6 2001:db8::7 ::1 4199 443\r\n", "PROXY UNKNOWN\r\n",
	} {
		conn := dial(t, proxied)
		write(t, conn, header[:8])
		if status, _ := get(t, conn, header[8:]); status != http.StatusBadRequest {
			t.Errorf("%q: got %d", header, status)
		}
	}
	if got := log.String(); strings.Count(got, "speaks version 1") != 1 || !strings.Contains(got, "send-proxy-v2") || !strings.Contains(got, "peer=127.0.0.1:") {
		t.Errorf("the log says %q", got)
	}
	untrusting, log := behind(t, tcp(t), time.Minute, nil, nil)
	if status, _ := get(t, dial(t, untrusting), "PROXY UNKNOWN\r\n"); status != http.StatusBadRequest || log.String() != "" {
		t.Errorf("of a peer that is not trusted: %d, the log says %q", status, log)
	}
}

func TestTrustIsForConnectionsFromNowOn(t *testing.T) {
	proxied, _ := behind(t, tcp(t), time.Minute, nil, nil)
	header := proxyHeader(proxy, tcp4, addresses4, 0)
	proxied.Trust(loopback)
	if status, got := get(t, dial(t, proxied), header); status != http.StatusOK || got != client4 {
		t.Errorf("got %d, %s", status, got)
	}
	proxied.Trust(nil)
	if status, _ := get(t, dial(t, proxied), header); status != http.StatusBadRequest {
		t.Errorf("got %d", status)
	}
}

// Headers that are wrong or never end keep no other peer waiting, and are cut.
func TestBadAndSlowHeaders(t *testing.T) {
	proxied, log := behind(t, tcp(t), 300*time.Millisecond, loopback, nil)
	var bad []net.Conn
	for _, begin := range []string{"", "\r", signature, signature + "\x21\x11\x00\xff", signature + "\x31\x11\x00\x00"} {
		for range 20 {
			conn := dial(t, proxied)
			write(t, conn, begin)
			bad = append(bad, conn)
		}
	}
	for range 20 {
		if status, got := get(t, dial(t, proxied), proxyHeader(proxy, tcp4, addresses4, 0)); status != http.StatusOK || got != client4 {
			t.Fatalf("got %d, %s", status, got)
		}
	}
	for _, conn := range bad {
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil || isTimeout(err) {
			t.Errorf("was not cut: %d, %v", n, err)
		}
	}
	if got := log.String(); !strings.Contains(got, "a trusted proxy sent a bad PROXY header") || !strings.Contains(got, "it says version 3") {
		t.Errorf("the log says %q", got)
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(interface{ Timeout() bool })
	return ok && timeout.Timeout()
}

// A header may come in pieces, and the request right behind it.
func TestHeaderInPieces(t *testing.T) {
	proxied, _ := behind(t, tcp(t), time.Minute, loopback, nil)
	conn, ok := dial(t, proxied).(*net.TCPConn)
	if !ok {
		t.Fatal("no TCP connection")
	}
	header := proxyHeader(proxy, tcp4, addresses4, 5)
	for _, piece := range []string{header[:1], header[1:7], header[7:13], header[13:16], header[16:20]} {
		write(t, conn, piece)
	}
	if status, got := get(t, conn, header[20:]); status != http.StatusOK || got != client4 {
		t.Errorf("got %d, %s", status, got)
	}
}

// TestAHandlerTakesOverTheKernelsOwnConnection: the bridge serves no other by its shard. What the client sent
// after its request is in the buffer, or still comes.
func TestAHandlerTakesOverTheKernelsOwnConnection(t *testing.T) {
	proxied := NewProxied(ProxiedParams{Listener: tcp(t), Timeout: time.Minute, Logger: (&journal{}).logger()})
	proxied.Trust(loopback)
	serveHTTP(t, proxied, nil, func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer closing(t, conn)
		if _, ok := conn.(*net.TCPConn); !ok {
			t.Errorf("a %T", conn)
		}
		rest := make([]byte, 4)
		if _, err := io.ReadFull(buffered, rest); err != nil || string(rest) != "rest" {
			t.Errorf("read %q, %v", rest, err)
		}
		if _, err := io.WriteString(conn, "taken"); err != nil {
			t.Error(err)
		}
	})
	for _, begin := range []string{proxyHeader(proxy, tcp4, addresses4, 0), ""} {
		conn := dial(t, proxied)
		write(t, conn, begin+"GET / HTTP/1.1\r\nHost: x\r\n\r\nrest")
		if got, err := io.ReadAll(conn); string(got) != "taken" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if waits, _, _ := proxied.Waiting(); waits != 0 {
		t.Errorf("%d connections wait", waits)
	}
}

func TestHeaderBeforeTLS(t *testing.T) {
	ca := newAuthority(t, "ca")
	s := serveTLS(t, ca, nil)
	proxied, _ := behind(t, tcp(t), time.Minute, loopback, s.Config())
	conn := dial(t, proxied)
	write(t, conn, proxyHeader(proxy, tcp4, addresses4, 0))
	caller := ca.caller(t, nil)
	caller.NextProtos = []string{"http/1.1"}
	if status, got := get(t, tls.Client(conn, caller), ""); status != http.StatusOK || got != client4 {
		t.Errorf("got %d, %s", status, got)
	}
}

func TestUnixPeersAreTrustedIfAnybodyIs(t *testing.T) {
	for want, trusted := range map[int][]netip.Prefix{http.StatusOK: loopback, http.StatusBadRequest: nil} {
		inner := openAt(t, "unix://"+filepath.Join(t.TempDir(), "s.sock"))
		proxied, _ := behind(t, inner, time.Minute, trusted, nil)
		status, got := get(t, dial(t, proxied), proxyHeader(proxy, tcp4, addresses4, 0))
		if status != want || want == http.StatusOK && got != client4 {
			t.Errorf("trusting %v: got %d, %s", trusted, status, got)
		}
	}
}

// Close ends the connections that have not been accepted, and waits for none of
// them.
func TestCloseEndsWaitingConnections(t *testing.T) {
	proxied := NewProxied(ProxiedParams{Listener: tcp(t), Timeout: time.Hour, Logger: (&journal{}).logger()})
	proxied.Trust(loopback)
	slow := dial(t, proxied)
	named := dial(t, proxied)
	write(t, named, proxyHeader(proxy, tcp4, addresses4, 0)) // and it is not accepted
	for {
		proxied.mu.Lock()
		reading, read := len(proxied.reading), len(proxied.ready)
		proxied.mu.Unlock()
		if reading == 1 && read == 1 {
			break
		}
		runtime.Gosched()
	}
	closing(t, proxied)
	for _, conn := range []net.Conn{slow, named} {
		if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Errorf("not closed: %d, %v", n, err)
		}
	}
	if _, err := proxied.Accept(); err == nil {
		t.Error("accepted after the end")
	}
	if len(proxied.reading)+len(proxied.ready) > 0 {
		t.Errorf("kept: %v, %d", proxied.reading, len(proxied.ready))
	}
}

// broken is a listener whose Accept fails first with a passing error, as without descriptors, and then with a lasting one.
type broken struct {
	net.Listener

	errs chan error
}

func (b broken) Accept() (net.Conn, error) { return nil, <-b.errs }

type passingError struct{}

func (passingError) Error() string   { return "too many open files" }
func (passingError) Temporary() bool { return true }

func TestAcceptingGoesOnAfterAPassingError(t *testing.T) {
	errs := make(chan error, 3)
	errs <- passingError{}
	errs <- passingError{}
	errs <- io.ErrClosedPipe
	log := &journal{}
	proxied := NewProxied(ProxiedParams{Listener: broken{tcp(t), errs}, Timeout: time.Minute, Logger: log.logger()})
	defer closing(t, proxied)
	if _, err := proxied.Accept(); err != io.ErrClosedPipe { //nolint:errorlint // it itself
		t.Errorf("got %v", err)
	}
	if got := strings.Count(log.String(), "trying again"); got != 1 { // of both
		t.Errorf("told %d times:\n%s", got, log)
	}
}

func TestConnContextOfOthers(t *testing.T) {
	proxied := NewProxied(ProxiedParams{Listener: tcp(t), Timeout: time.Minute, Logger: (&journal{}).logger()})
	defer closing(t, proxied)
	one, two := net.Pipe()
	defer closing(t, one)
	defer closing(t, two)
	if ctx := proxied.ConnContext(context.Background(), one); ctx.Value(clientKey{}) != nil {
		t.Error("an address where there is none")
	}
}
