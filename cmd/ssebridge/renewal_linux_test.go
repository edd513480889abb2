package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// renewedClients are clients while an upstream's files are renewed; package bridge's test has 1,000.
const renewedClients = 200

// TestRenewedUpstreamFiles renews an upstream's files on the disk of a command that serves: a comment in the CA file, and then
// all three files with those of another authority. Its clients notice nothing, and the connection to the backend stays. When
// the backend comes back with a certificate of the new authority, the next connection uses the new files.
func TestRenewedUpstreamFiles(t *testing.T) {
	before, after := backendtest.NewAuthority(t), backendtest.NewAuthority(t)
	back := backendtest.Start(t, backendtest.WithTLS(before), backendtest.WithClientAuth())
	dir := t.TempDir()
	put := func(name, from, more string) {
		t.Helper()
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".new"), append(data, more...), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, name+".new"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	renew := func(authority *backendtest.Authority, more string) {
		t.Helper()
		cert, key := authority.Issue(t, "client")
		put("ca.crt", authority.CAFile, more)
		put("client.crt", cert, "")
		put("client.key", key, "")
	}
	renew(before, "")
	public, admin := freeAddress(t), freeAddress(t)
	config := filepath.Join(dir, "ssebridge.yaml")
	text := fmt.Sprintf(`listen: %s
admin: %s
drain: {delay: 0s, grace: 100ms}
upstreams:
  app: {target: %q, tls: {ca: ca.crt, cert: client.crt, key: client.key}}
routes:
  - {path: /feed, rpc: ssebridge.test.v1.FeedService/Watch, upstream: app, share: true}
`, public, admin, back.Target())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	read, writer := pipe(t)
	go func() { _, _ = io.Copy(io.Discard, read) }() // until the pipe is closed
	process(t, writer, "serve", "--config", config)
	until(t, "the bridge is ready", func() bool { return status("http://"+admin+"/readyz") == http.StatusOK })

	clients := make([]*ssetest.Client, renewedClients)
	for i := range clients {
		clients[i] = ssetest.Connect(t, "http://"+public+"/feed", ssetest.Options{})
	}
	for _, c := range clients {
		c.AwaitEvents(1)
	}
	back.AwaitRunning(1)
	said := 0
	say := func(kind string) {
		t.Helper()
		back.Feed.Publish(&testv1.FeedEvent{Kind: kind})
		said++
		for _, c := range clients {
			c.AwaitMessages(said)
		}
	}
	reloads := regexp.MustCompile(`(?m)^ssebridge_config_reloads_total\{result="ok"\} ([0-9]+)$`)
	reloaded := func() string {
		found := reloads.FindStringSubmatch(body(t, "http://"+admin+"/metrics"))
		if found == nil {
			return ""
		}
		return found[1]
	}
	say("the start")
	for _, step := range []struct {
		what string
		do   func()
	}{
		{"a comment in the CA file", func() { put("ca.crt", before.CAFile, "# renewed\n") }},
		{"the files of another authority", func() { renew(after, "") }},
	} {
		seen := reloaded()
		step.do()
		until(t, "the files are read again", func() bool { return reloaded() != seen })
		say(step.what)
	}
	for _, c := range clients {
		s := c.Snapshot()
		if len(s.Events) != said+1 || s.Connections != 1 || s.Ended != nil { // stream-open and the messages
			t.Fatalf("a client noticed something: %s", s)
		}
	}
	if n := back.Opens(); n != 1 {
		t.Errorf("%d RPCs were opened, want the one of the start", n)
	}
	back.Restart(backendtest.WithTLS(after))
	back.AwaitRunning(1)
	say("the backend's new certificate")
	for _, c := range clients {
		if s := c.Snapshot(); s.Connections != 1 || s.Gaps != 1 { // the route has no cursor
			t.Fatalf("a client saw %s", s)
		}
	}
	last := clients[0].Snapshot().Messages()[said-1].Data
	var event testv1.FeedEvent
	if err := protojson.Unmarshal([]byte(last), &event); err != nil || !strings.HasPrefix(event.GetKind(), "the backend's new") {
		t.Errorf("the last event is %s, %v", last, err)
	}
}
