package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// TestNewcomersGetInBesideIdleConnections runs the command with few descriptors, and takes more connections than there are
// descriptors, over which nothing is asked for. Each newcomer is answered all the same, at its second try at the latest, and a
// client that listens stays.
func TestNewcomersGetInBesideIdleConnections(t *testing.T) {
	for _, test := range []struct {
		name   string
		secure bool
		begin  string
		limits string
	}{
		{"a connection that says nothing", false, "", ""},
		{"HTTP/1.1 after a request", false, "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", ""},
		{"a head on its way", false, "GET /nowhere HTTP/1.1\r\nHost: x\r\n", ""},
		{"h2c without a stream", false, http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00", ""},
		{"a TLS handshake on its way", true, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", ""},
		{"a limit that is written", false, "", "limits: {idle_per_ip: 20}\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			backend, public, admin := freeAddress(t), freeAddress(t), freeAddress(t)
			process(t, nil, "demo", "backend", "--listen", backend)
			folder := t.TempDir()
			scheme, secured := "http", ""
			if test.secure {
				scheme, secured = "https", fmt.Sprintf("tls: {cert: %s, key: %s}\n", filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
				if err := makeCertificate("x", filepath.Join(folder, "tls")); err != nil {
					t.Fatal(err)
				}
			}
			config := filepath.Join(folder, "ssebridge.yaml")
			text := fmt.Sprintf("listen: %s\nadmin: %s\n%s%sdrain: {delay: 0s, grace: 0s}\nupstreams: {app: {target: %q}}\n"+
				"routes: [{path: /clock, rpc: ssebridge.demo.v1.ClockService/Watch, upstream: app}]\n", public, admin, secured, test.limits, backend)
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			const descriptors = 400
			withDescriptors(t, descriptors, "serve", "--config", config)
			until(t, "the bridge is ready", func() bool { return status("http://"+admin+"/readyz") == http.StatusOK })
			transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
			listener := ssetest.Connect(t, scheme+"://"+public+"/clock", ssetest.Options{Transport: transport})
			listener.AwaitMessages(1)

			occupy(t, public, descriptors+100, test.begin)
			if test.limits == "" {
				until(t, "there is no room", func() bool {
					return !strings.Contains(body(t, "http://"+admin+"/metrics"), `ssebridge_idle_connections_closed_total{reason="no_room"} 0`)
				})
			} else {
				until(t, "the address has too many", func() bool {
					return !strings.Contains(body(t, "http://"+admin+"/metrics"), `ssebridge_idle_connections_closed_total{reason="idle_per_ip"} 0`)
				})
			}
			const newcomers = 76
			missed, again := 0, 0
			client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
			for range newcomers {
				answer, err := client.Get(scheme + "://" + public + "/nowhere")
				if err != nil {
					again++ // as a browser does
					answer, err = client.Get(scheme + "://" + public + "/nowhere")
				}
				if err != nil {
					missed++
					continue
				}
				if answer.StatusCode != http.StatusNotFound {
					t.Fatalf("answered %d", answer.StatusCode)
				}
				_ = answer.Body.Close() // it is small
			}
			// Of what is opened at one moment few may meet a full house, more of them on a busy machine.
			if missed > 1 || again > newcomers/5 {
				t.Errorf("of %d newcomers %d had to try twice, and %d of them are not answered", newcomers, again, missed)
			}
			if seen := listener.Snapshot(); seen.Connections != 1 || seen.Ended != nil {
				t.Errorf("the client that listens is at connection %d: %v", seen.Connections, seen.Ended)
			}
		})
	}
}

// occupy holds so many connections until the test ends, and opens another for each that is closed.
func occupy(t *testing.T, address string, number int, begin string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	t.Cleanup(func() {
		stop()
		all.Wait()
	})
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 66)}, Timeout: 5 * time.Second}
	for range number {
		all.Go(func() {
			for ctx.Err() == nil {
				conn, err := dialer.DialContext(ctx, "tcp", address)
				if err == nil {
					cut := context.AfterFunc(ctx, func() { _ = conn.Close() })
					if _, err = io.WriteString(conn, begin); err == nil {
						_, _ = io.Copy(io.Discard, conn) // until it is closed
					}
					cut()
					_ = conn.Close()
				}
				select {
				case <-time.After(50 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		})
	}
}

// withDescriptors starts the command with a limit on its file descriptors.
func withDescriptors(t *testing.T, number int, args ...string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`ulimit -n %d && exec -a ssebridge "$0" "$@"`, number)
	cmd := exec.Command("bash", append([]string{"-c", script, self}, args...)...)
	cmd.Env = append(os.Environ(), "GOMEMLIMIT=200MiB")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // killed
	})
}
