package bridge_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// renewed has the files of an upstream, which a test renews.
type renewed struct {
	t             *testing.T
	dir           string
	ca, cert, key string
	set           string
}

func newRenewed(t *testing.T) *renewed {
	t.Helper()
	dir := t.TempDir()
	return &renewed{
		t: t, dir: dir, ca: filepath.Join(dir, "ca.crt"), cert: filepath.Join(dir, "client.crt"),
		key: filepath.Join(dir, "client.key"), set: filepath.Join(dir, "app.binpb"),
	}
}

func (r *renewed) copyFile(to, from string, more string) {
	r.t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, append(data, more...), 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// trust renews all certificates.
func (r *renewed) trust(authority *backendtest.Authority, more string) {
	r.t.Helper()
	cert, key := authority.Issue(r.t, "client")
	r.copyFile(r.ca, authority.CAFile, more)
	r.copyFile(r.cert, cert, "")
	r.copyFile(r.key, key, "")
}

// describe writes the descriptor set in one of its equivalent forms: files in any order, with or
// without JSON names and comments.
func (r *renewed) describe(otherwise bool) {
	r.t.Helper()
	files := []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(testv1.File_ssebridge_test_v1_kinds_proto),
		protodesc.ToFileDescriptorProto(testv1.File_ssebridge_test_v1_feed_proto),
	}
	if otherwise {
		slices.Reverse(files)
		for _, file := range files {
			file.SourceCodeInfo = &descriptorpb.SourceCodeInfo{Location: []*descriptorpb.SourceCodeInfo_Location{
				{Span: []int32{1, 2, 3}, LeadingComments: new("A comment.")},
			}}
			for _, m := range file.GetMessageType() {
				for _, f := range m.GetField() {
					if f.GetJsonName() != "@renamed" { // the only name that is not the default
						f.JsonName = nil
					}
				}
			}
		}
	}
	wire, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: files})
	if err == nil {
		err = os.WriteFile(r.set, wire, 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// An upstream's certificates and descriptor set are renewed under 1,000 clients, whose stream could
// not be resumed. No client notices, the connection stays, and the next one uses the new files.
func TestRenewedFilesOfAnUpstreamDisturbNoClient(t *testing.T) {
	const clients = 1000
	counted := countConnections()
	authority, next := backendtest.NewAuthority(t), backendtest.NewAuthority(t)
	files := newRenewed(t)
	files.trust(authority, "")
	files.describe(false)
	b := backend(t, backendtest.WithTLS(authority), backendtest.WithClientAuth(), backendtest.WithServerOptions(grpc.StatsHandler(counted)))
	cfg := parse(t, `
upstreams:
  app:
    target: `+b.Target()+`
    tls: {ca: `+files.ca+`, cert: `+files.cert+`, key: `+files.key+`}
    schema: {descriptor_set: `+files.set+`}
drain: {delay: 0s, grace: 0s}
routes:
  - {path: /feed, rpc: `+watch+`, upstream: app, share: true}
`)
	g := startWith(t, cfg, bridge.Options{})
	crowd := gather(t, g.Bridge, clients, func(int) string { return "" }, func(int) int64 { return 1 }, nil)
	sockets := []*ssetest.Client{
		ssetest.Connect(t, g.URL+"/feed", ssetest.Options{}),
		ssetest.Connect(t, g.URL+"/feed", ssetest.Options{H2C: true}),
	}
	b.AwaitRunning(1)
	for _, c := range sockets {
		c.AwaitEvents(1)
	}
	awaitClients(t, g.Bridge, clients+len(sockets))
	said := 0
	say := func(after string) {
		t.Helper()
		b.Feed.Publish(&testv1.FeedEvent{Kind: "k"})
		said++
		for _, c := range sockets {
			c.Await("a message after "+after, func(s ssetest.Snapshot) bool { return len(s.Messages()) >= said })
		}
		for until := time.Now().Add(20 * time.Second); crowd.behind(int64(said+1)) > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(until) {
				t.Fatalf("after %s %d clients wait for an event, and %d were asked to reconnect", after, crowd.behind(int64(said+1)), crowd.ended())
			}
		}
	}
	say("the start")
	for what, renew := range map[string]func(){
		"a comment in the CA file":  func() { files.trust(authority, "# renewed\n") },
		"all certificates":          func() { files.trust(authority, "") },
		"the descriptor set":        func() { files.describe(true) },
		"certificates of another's": func() { files.trust(next, "") },
	} {
		renew()
		if err := g.Bridge.Reload(cfg); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		say(what)
	}
	files.trust(next, "")
	if err := g.Bridge.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if n := crowd.ended(); n > 0 {
		t.Errorf("%d clients were asked to reconnect", n)
	}
	for _, e := range crowd.ears {
		if at, gaps := e.at(); at != int64(said+1) || gaps > 0 {
			t.Fatalf("a client has %d events and %d gaps, want %d", at-1, gaps, said)
		}
		if e.others > 0 {
			t.Fatalf("a client was sent %d control events", e.others)
		}
	}
	for _, c := range sockets {
		if s := c.Snapshot(); len(s.Events) != said+1 || s.Ended != nil {
			t.Errorf("a client saw %s", story(s))
		}
	}
	if n := counted.ever.Load(); n != 1 {
		t.Errorf("%d connections to the backend, want the one of the start", n)
	}
	// The backend returns with a certificate that only the renewed CA has signed, and accepts only the renewed client
	// certificate.
	b.Restart(backendtest.WithTLS(next))
	b.AwaitRunning(1)
	if n := counted.open.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// behind returns the number of clients that do not have all events before next.
func (c *crowd) behind(next int64) (n int) {
	for _, e := range c.ears {
		if at, _ := e.at(); at < next {
			n++
		}
	}
	return n
}

// awaitClients waits until n streams are served.
func awaitClients(t *testing.T, b *bridge.Bridge, n int) {
	t.Helper()
	until := time.Now().Add(20 * time.Second)
	for served := 0; served != n; {
		served = 0
		for name, value := range scrape(t, b) {
			if len(name) > 18 && name[:18] == "ssebridge_clients{" {
				served += int(value)
			}
		}
		if time.Now().After(until) {
			t.Fatalf("%d clients are served, want %d", served, n)
		}
	}
}
