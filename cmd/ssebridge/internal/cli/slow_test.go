package cli

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/ssebridge/ssebridge/bridge/config"
)

// hasty is a server's patience in these tests.
func hasty() patience {
	return patience{header: 300 * time.Millisecond, idle: 300 * time.Millisecond, write: time.Minute, silent: 300 * time.Millisecond, ping: 300 * time.Millisecond}
}

// serveHasty serves with little patience until the test ends.
func serveHasty(t *testing.T, secure *tls.Config) net.Addr {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &endpoint{name: "listen", listener: listener, secure: secure != nil, server: newServer(serverParams{
		handler:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") }),
		logger:   slog.New(slog.DiscardHandler),
		limits:   config.Limits{Clients: 1, RequestBytes: config.KiB},
		patience: hasty(), tls: secure,
	})}
	served := make(chan error, 1)
	go func() { served <- e.serve() }()
	t.Cleanup(func() {
		if err := e.stop(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr()
}

// dribble begins, and goes on byte by byte until it is cut; it never sends the last one.
func dribble(t *testing.T, conn net.Conn, begin, text string) {
	t.Helper()
	_, err := io.WriteString(conn, begin)
	each := time.NewTicker(20 * time.Millisecond)
	defer each.Stop()
	end := time.Now().Add(20 * time.Second)
	for i := 0; err == nil; i = min(i+1, len(text)-2) {
		<-each.C
		_, err = conn.Write([]byte{text[i]})
		if time.Now().After(end) {
			t.Error("was not cut")
			return
		}
	}
}

// Slow clients, however many, are cut, and others are served meanwhile.
func TestSlowClientsAreCut(t *testing.T) {
	secure := httptest.NewUnstartedServer(nil)
	secure.StartTLS()
	defer secure.Close()
	settings := http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	for name, tc := range map[string]struct {
		secure      *tls.Config
		begin, text string
	}{
		"a request line": {nil, "", "GET /" + strings.Repeat("a", 500)},
		"headers":        {nil, "GET / HTTP/1.1\r\nHost: x\r\n", strings.Repeat("A: b\r\n", 100)},
		"a preface":      {nil, "PRI * HTTP/2.0\r\n\r\n", "SM\r\n\r\n"},
		"a frame of h2c": {nil, settings, "\x00\x3f\xff\x01\x05\x00\x00\x00\x01" + strings.Repeat("\x82", 500)},
		"a handshake":    {secure.TLS, "", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("r", 500)},
	} {
		t.Run(name, func(t *testing.T) {
			address := serveHasty(t, tc.secure).String()
			var all sync.WaitGroup
			for range 50 {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				all.Go(func() {
					defer conn.Close() //nolint:errcheck // it was cut
					dribble(t, conn, tc.begin, tc.text)
				})
			}
			client := &http.Client{Transport: &http.Transport{
				DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
			}}
			scheme := "http://"
			if tc.secure != nil {
				scheme = "https://"
			}
			for range 20 {
				answer, err := client.Get(scheme + address)
				if err != nil {
					t.Fatal(err)
				}
				if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "served" {
					t.Errorf("%q, %v", body, err)
				}
				if err := answer.Body.Close(); err != nil {
					t.Error(err)
				}
			}
			all.Wait()
		})
	}
}

// A peer that connects and asks for nothing is cut, too.
func TestIdleClientsAreCut(t *testing.T) {
	address := serveHasty(t, nil).String()
	for _, first := range []string{"", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, first); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("after %q: was not cut", first)
		}
		closing(t, conn)
	}
}

// The head of a request is bounded, before its route is known.
func TestLargeHeadersAreRefused(t *testing.T) {
	address := serveHasty(t, nil).String()
	for size, want := range map[int]int{2 << 10: http.StatusOK, 20 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		r, err := http.NewRequest(http.MethodGet, "http://"+address, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Large", strings.Repeat("a", size))
		answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Error(err)
		}
		if answer.StatusCode != want {
			t.Errorf("%d bytes: got %d, want %d", size, answer.StatusCode, want)
		}
	}
}
