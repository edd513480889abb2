package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// transportCounting is a transport for HTTP/2 over one connection as long as
// the server takes requests on it, and the number of connections that it made.
func transportCounting(t *testing.T, secure bool) (*http.Transport, *atomic.Int32) {
	t.Helper()
	dials := new(atomic.Int32)
	transport := &http.Transport{
		Protocols:       new(http.Protocols),
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}
	transport.Protocols.SetHTTP2(secure)
	transport.Protocols.SetUnencryptedHTTP2(!secure)
	t.Cleanup(transport.CloseIdleConnections)
	return transport, dials
}

// firstAsked waits for the first client that is asked to leave.
func firstAsked(t *testing.T, all []*ssetest.Client) *ssetest.Client {
	t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for late := time.After(time.Minute); ; {
		for _, c := range all {
			if c.Snapshot().Ended != nil {
				return c
			}
		}
		select {
		case <-poll.C:
		case <-late:
			t.Fatal("no client is asked to leave")
		}
	}
}

// A page has several streams on one connection of HTTP/2. The first that is
// asked to leave has to reconnect by a new connection, though the other streams
// still use the old one.
func TestDrainSendsGOAWAYBeforeItAsksTheFirstClient(t *testing.T) {
	for name, secure := range map[string]bool{"h2c": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			const streams = 5
			folder, more, scheme := t.TempDir(), "", "http"
			if secure {
				cert, key := selfSigned(t, "site")
				replace(t, filepath.Join(folder, "tls.key"), key)
				replace(t, filepath.Join(folder, "tls.crt"), cert)
				more, scheme = "tls: {cert: tls.crt, key: tls.key}\n", "https"
			}
			s := serveFile(t, filepath.Join(folder, "ssebridge.yaml"), func(s *served) {
				s.write(strings.Replace(s.text(more, "/clock"), "grace: 50ms", "grace: 5s", 1))
			})
			transport, dials := transportCounting(t, secure)
			all := make([]*ssetest.Client, streams)
			for i := range all {
				all[i] = ssetest.Connect(t, scheme+"://"+s.public+"/clock", ssetest.Options{Transport: transport})
				all[i].AwaitMessages(1)
			}
			if n := dials.Load(); n != 1 {
				t.Fatalf("%d connections for %d streams", n, streams)
			}
			ended := make(chan int, 1)
			go func() { ended <- s.end() }()
			first := firstAsked(t, all)
			first.Reconnect()
			first.AwaitNamed("stream-retry", len(first.Snapshot().Events))
			if n := dials.Load(); n != 2 {
				t.Errorf("a client that was asked to leave has made %d connections, want a new one", n-1)
			}
			if !slices.ContainsFunc(all, func(c *ssetest.Client) bool { return c.Snapshot().Ended == nil }) {
				t.Error("the other streams of the connection have ended with the first")
			}
			if code := <-ended; code != ExitOK {
				t.Errorf("exit %d\n%s", code, s.stderr)
			}
			for _, c := range all {
				c.AwaitNamed("stream-retry", 0)
				if err := c.AwaitEnd(); !errors.Is(err, io.EOF) {
					t.Errorf("a stream was cut: %v", err)
				}
			}
		})
	}
}
