package bridge_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"google.golang.org/grpc"

	"github.com/ssebridge/ssebridge/bridge"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/internal/chromiumtest"
)

// ask sends a request with an Accept-Encoding, or with none, and does not read the body.
func ask(t *testing.T, method, url, accept string, h2c bool) *http.Response {
	t.Helper()
	transport := &http.Transport{DisableCompression: true, Protocols: protocols(!h2c, h2c)}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	request, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		request.Header.Set("Accept-Encoding", accept)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = response.Body.Close()
		transport.CloseIdleConnections()
	})
	return response
}

// The route may disable it. Vary informs caches.
func TestAClientThatAcceptsGzipGetsIt(t *testing.T) {
	b := backend(t)
	b.Feed.Publish(&testv1.FeedEvent{Seq: 1})
	b.Feed.End(nil)
	g := start(t, b.Target(), "  - {path: /zipped, rpc: "+watch+", upstream: app, share: true, request: {set: {history: true}}}\n"+
		"  - {path: /plain, rpc: "+watch+", upstream: app, share: true, request: {set: {history: true}}, compress: false}\n")
	for _, c := range []struct {
		path, accept, encoding, vary string
	}{
		{"/zipped", "gzip", "gzip", "Accept-Encoding"},
		{"/zipped", "br, gzip;q=0.5", "gzip", "Accept-Encoding"},
		{"/zipped", "", "", "Accept-Encoding"},
		{"/zipped", "identity", "", "Accept-Encoding"},
		{"/zipped", "gzip;q=0", "", "Accept-Encoding"},
		{"/plain", "gzip", "", ""},
		{"/plain", "", "", ""},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for _, h2c := range []bool{false, true} {
				name := fmt.Sprintf("%s %s for %q, HTTP/2: %t", method, c.path, c.accept, h2c)
				response := ask(t, method, g.URL+c.path, c.accept, h2c) //nolint:bodyclose // by ask's cleanup
				head := response.Header
				if got := head.Get("Content-Encoding"); got != c.encoding || head.Get("Vary") != c.vary || head.Get("Content-Type") != "text/event-stream" {
					t.Errorf("%s: %v", name, head)
				}
				body := readAs(t, response.Body, head.Get("Content-Encoding"))
				if method == http.MethodHead && body != "" || method == http.MethodGet && (!strings.Contains(body, `{"seq":"1"}`) || !strings.Contains(body, "event: stream-end\n")) {
					t.Errorf("%s: %q", name, body)
				}
			}
		}
	}
}

// readAs decodes a body, and checks its checksum.
func readAs(t *testing.T, body io.Reader, encoding string) string {
	t.Helper()
	buffered := bufio.NewReader(body)
	if _, err := buffered.Peek(1); encoding == "gzip" && err == nil {
		reader, err := gzip.NewReader(buffered)
		if err != nil {
			t.Fatal(err)
		}
		body = reader
	} else {
		body = buffered
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Go's client asks for gzip by itself. It gets the head and the first bytes before there is an event.
func TestAGoClientGetsTheFirstBytesAtOnce(t *testing.T) {
	b := backend(t)
	g := start(t, b.Target(), "  - {path: /feed, rpc: "+watch+", upstream: app, share: true, heartbeat: {every: 100ms, as: event}}\n")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL+"/feed", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if !response.Uncompressed {
		t.Fatal("it is not compressed")
	}
	lines := bufio.NewScanner(response.Body)
	var names []string
	for len(names) < 3 && lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			names = append(names, name)
		}
	}
	if !slices.Equal(names, []string{"stream-open", "heartbeat", "heartbeat"}) {
		t.Errorf("the client received %q, %v", names, lines.Err())
	}
}

// oneByOne serves a page that asks for events one by one.
type oneByOne struct {
	http.Handler // the bridge

	ledger *ledger

	mu        sync.Mutex
	encodings []string
}

func (o *oneByOne) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/":
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<title>a page</title>"))
	case "/next":
		o.ledger.change(func() { o.ledger.newest++ })
		w.WriteHeader(http.StatusNoContent)
	case "/favicon.ico":
		w.WriteHeader(http.StatusNoContent)
	default:
		o.Handler.ServeHTTP(w, r)
		o.mu.Lock()
		defer o.mu.Unlock()
		o.encodings = append(o.encodings, w.Header().Get("Content-Encoding"))
	}
}

// withGaps is a stream in which each 17th event cannot be shown.
type withGaps struct {
	grpc.ServerStreamingServer[testv1.FeedEvent]
}

func (g withGaps) Send(event *testv1.FeedEvent) error {
	event.Kind = "the same words in every event, so that there is something to refer to"
	if event.GetSeq()%17 == 0 {
		event.Extra = unknownAny("").GetExtra()
	}
	return g.ServerStreamingServer.Send(event)
}

// The browser has each event before the next one is sent, also with blocks of the client's own in
// between: neither the bridge nor the browser's decoder delays one.
func TestGzipInChromium(t *testing.T) {
	const last = 150
	b := backend(t)
	l := newLedger()
	b.OnWatch(func(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
		return l.watch(request, withGaps{stream})
	})
	g := startWith(t, parse(t, "upstreams: {app: {target: '"+b.Target()+"'}}\ndrain: {delay: 0s, grace: 0s}\nroutes:\n"+
		"  - {path: /comments, rpc: "+watch+", upstream: app, share: true, event: {id: seq}, heartbeat: {every: 100ms, as: comment}}\n"+
		"  - {path: /events, rpc: "+watch+", upstream: app, share: true, heartbeat: {every: 100ms, as: event}}\n"), bridge.Options{})
	page := &oneByOne{Handler: g.Bridge, ledger: l}
	server := httptest.NewServer(page)
	t.Cleanup(server.Close)
	ctx := openPage(t, server.URL)
	seen, err := chromedp.Run(ctx, chromedp.Evaluate[[][]string](fmt.Sprintf(listeningOneByOne, last), chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	for i, from := range []int{1, 30, 77, 120} {
		var want []string
		for seq := from; seq <= last; seq++ {
			if want = append(want, strconv.Itoa(seq)); seq%17 == 0 {
				want[len(want)-1] = "gap"
			}
		}
		if i >= len(seen) || !slices.Equal(seen[i], want) {
			t.Errorf("client %d saw %v, want %v", i, seen, want)
		}
	}
	page.mu.Lock()
	defer page.mu.Unlock()
	if len(page.encodings) != 4 || slices.ContainsFunc(page.encodings, func(e string) bool { return e != "gzip" }) {
		t.Errorf("the streams were encoded as %q", page.encodings)
	}
}

// listeningOneByOne is the script of the page. It opens a stream now and then, waits for heartbeats
// now and then, and asks for an event when all streams have the one before.
const listeningOneByOne = `(async () => {
	const clients = [], last = %d;
	let heard = () => {};
	const until = async (met) => { while (!met()) await new Promise((done) => { heard = done; }); };
	const open = async (path) => {
		const client = {seen: [], beats: 0, opened: false, source: new EventSource(path)};
		const on = (name, act) => client.source.addEventListener(name, (event) => { act(event); heard(); });
		on('message', (event) => client.seen.push(JSON.parse(event.data).seq));
		on('stream-gap', () => client.seen.push('gap'));
		on('stream-open', () => { client.opened = true; });
		on('heartbeat', () => { client.beats++; });
		clients.push(client);
		client.from = seq;
		await until(() => client.opened);
	};
	let seq = 1;
	for (; seq <= last; seq++) {
		if (seq === 1 || seq === 77) await open('/events');
		if (seq === 30 || seq === 120) await open('/comments');
		if (seq %% 25 === 0) {
			const beats = clients[0].beats + 3;
			await until(() => clients[0].beats >= beats);
		}
		await fetch('/next', {method: 'POST'});
		await until(() => clients.every((client) => client.seen.length > seq - client.from));
	}
	for (const client of clients) client.source.close();
	return clients.map((client) => client.seen);
})()`

// openPage starts a browser at a page.
func openPage(t *testing.T, url string) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(chromiumtest.Start(t), 60*time.Second)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate(url+"/")); err != nil {
		t.Fatal(err)
	}
	return ctx
}
