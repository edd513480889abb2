package bridge_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// oneByOne serves a page that asks for events one by one.
type oneByOne struct {
	http.Handler // the bridge

	feed *backendtest.Log

	mu        sync.Mutex
	published int64
	encodings []string
}

func (o *oneByOne) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/":
		servePage(w)
	case "/next":
		o.publish()
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

// publish makes the backend send its next event. Each 17th event cannot be shown: it has an Any of an
// unknown type.
func (o *oneByOne) publish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.published++
	next := event(o.published)
	next.Kind = "the same words in every event, so that there is something to refer to"
	if o.published%17 == 0 {
		next.Extra = &anypb.Any{TypeUrl: "type.example/nobody.knows.This"}
	}
	o.feed.Publish(next)
}

// The browser has each event before the next one is sent, also with blocks of the client's own in
// between: neither the bridge nor the browser's decoder delays one.
func TestGzipInChromium(t *testing.T) {
	const last = 150
	b := backendtest.Start(t)
	page := &oneByOne{feed: b.Feed, Handler: start(t, "upstreams: {app: {target: '"+b.Target()+"'}}\ndrain: {delay: 0s, grace: 0s}\nroutes:\n"+
		"  - {path: /comments, rpc: "+watch+", upstream: app, share: true, event: {id: seq}, heartbeat: {every: 100ms, as: comment}}\n"+
		"  - {path: /events, rpc: "+watch+", upstream: app, share: true, heartbeat: {every: 100ms, as: event}}\n")}
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
