package bridge_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// reads is what a page got of a stream of another origin.
type reads struct {
	EventSource string `json:"eventSource"`
	Fetch       string `json:"fetch"`
	RequestID   bool   `json:"requestId"`
	Missing     string `json:"missing"`
}

// reading is the script of a page: it reads the stream by EventSource with credentials, and by fetch with
// headers that need a preflight, and asks for a path that does not exist.
const reading = `(async (base) => {
	const text = (answer) => answer.body.getReader().read().then(({value}) => new TextDecoder().decode(value));
	const eventSource = await new Promise((done) => {
		const source = new EventSource(base + '/feed', {withCredentials: true});
		source.onmessage = (event) => { source.close(); done(event.data); };
		source.onerror = () => { source.close(); done('refused'); };
	});
	let fetched = 'refused', requestId = false;
	try {
		const answer = await fetch(base + '/feed', {credentials: 'include', headers: {Authorization: 'Bearer x', 'Last-Event-ID': '1'}});
		requestId = answer.headers.get('x-request-id') !== null;
		fetched = await text(answer) ? 'read' : 'empty';
	} catch { /* refused */ }
	const missing = await fetch(base + '/nowhere').then((answer) => String(answer.status), () => 'refused');
	return {eventSource, fetch: fetched, requestId, missing};
})('%s')`

// A page of an allowed origin reads a stream and an error. A page of another port of the same host, which is
// another origin of the same site, reads nothing.
func TestPagesOfTwoOrigins(t *testing.T) {
	page := func() string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { servePage(w) }))
		t.Cleanup(server.Close)
		return server.URL
	}
	friend, stranger := page(), page()
	b := backendtest.Start(t)
	b.Feed.Publish(event(1), event(2))
	server := httptest.NewServer(start(t, "upstreams: {app: {target: '"+b.Target()+"'}}\ndrain: {delay: 0s, grace: 0s}\n"+
		"cors: {origins: ['"+friend+"'], credentials: true}\n"+
		"routes: [{path: /feed, rpc: "+watch+", upstream: app, request: {set: {history: true}}, event: {id: seq, data: {field: seq}}, resume: {field: after}}]\n"))
	t.Cleanup(server.Close)
	for origin, want := range map[string]reads{
		friend:   {`"1"`, "read", true, "404"},
		stranger: {"refused", "refused", false, "refused"},
	} {
		ctx := openPage(t, origin)
		got, err := chromedp.Run(ctx, chromedp.Evaluate[reads](fmt.Sprintf(reading, server.URL), chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("a page of %s got %+v, want %+v", origin, got, want)
		}
	}
}
