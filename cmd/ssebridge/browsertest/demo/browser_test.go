package demo_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/cmd/ssebridge/browsertest/internal/chromiumtest"
)

// do runs an action in a tab, for a minute at most.
func do[T any](t *testing.T, tab context.Context, action chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, time.Minute)
	defer cancel()
	got, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatalf("%v\nthe page: %+v", err, peek(tab))
	}
	return got
}

// await waits until an expression is true in a tab.
func await(t *testing.T, tab context.Context, expression string) {
	t.Helper()
	do(t, tab, chromedp.Poll[bool](expression, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(0)))
}

// watchConsole fails the test for what a page writes to its console, except that its
// connections break.
func watchConsole(t *testing.T, tab context.Context) {
	t.Helper()
	ctx, cancel := context.WithCancel(tab)
	messages := chromedp.Console(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for message, err := range messages {
			if err != nil {
				return
			}
			if !strings.HasPrefix(message.Text, "Failed to load resource: net::ERR_") {
				t.Errorf("console: %s (%s:%d)", message, message.URL, message.Line)
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// card is what the page shows of a stream.
type card struct{ State, ID, Events, Caught, Resumes, Gaps, Duplicates string }

// readCards is the page's cards by the names of their streams.
const readCards = `Object.fromEntries([...document.querySelectorAll('[data-stream]')].map((c) => [c.dataset.stream,
	{State: c.dataset.state, ...Object.fromEntries([...c.querySelectorAll('[data-field]')].map((f) =>
		[f.dataset.field === 'id' ? 'ID' : f.dataset.field.replace(/^./, (l) => l.toUpperCase()), f.textContent]))}]))`

func peek(tab context.Context) map[string]card {
	ctx, cancel := context.WithTimeout(tab, 5*time.Second)
	defer cancel()
	cards, _ := chromedp.Run(ctx, chromedp.Evaluate[map[string]card](readCards)) // for a message only
	return cards
}

func cardsOf(t *testing.T, tab context.Context) map[string]card {
	t.Helper()
	cards := do(t, tab, chromedp.Evaluate[map[string]card](readCards))
	if len(cards) != 4 {
		t.Fatalf("%d streams, want 4: %+v", len(cards), cards)
	}
	return cards
}

// number is a count as the page writes it.
func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.ReplaceAll(text, ",", ""))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// every is an expression that holds when condition does for each card c, of which n(field)
// is a number.
func every(condition string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('[data-stream]')].every((c) => {
		const n = (field) => Number(c.querySelector('[data-field=' + field + ']').textContent.replaceAll(',', ''));
		return %s; })`, condition)
}

// An answer of tokens may have ended meanwhile.
const flowing = `(c.dataset.state === 'live' || c.dataset.stream === 'tokens' && c.dataset.state === 'ended')`

// wantWhole checks that no stream has lost or doubled anything.
func wantWhole(t *testing.T, cards map[string]card) {
	t.Helper()
	for name, c := range cards {
		if c.Gaps != "0" || c.Duplicates != "0" {
			t.Errorf("%s: %s gaps and %s duplicates", name, c.Gaps, c.Duplicates)
		}
	}
}

func TestPageGoesOnGaplessAfterACut(t *testing.T) {
	url, _ := startDemo(t, nil)
	tab := chromiumtest.Start(t)
	watchConsole(t, tab)
	do(t, tab, chromedp.Navigate(url+"/"))
	await(t, tab, every(`c.dataset.state === 'live' && n('events') >= (c.dataset.stream === 'chat' ? 1 : 3)`))
	before := cardsOf(t, tab)

	do(t, tab, chromedp.Click("#cut"))
	await(t, tab, every(`c.dataset.state === 'cut'`))
	await(t, tab, `document.getElementById('wire').dataset.state === 'cut'`)
	await(t, tab, every(flowing+` && n('resumes') === 1 && n('caught') >= (c.dataset.stream === 'chat' ? 0 : 1)`))
	resumed := cardsOf(t, tab)
	await(t, tab, every(flowing+` && n('events') > `+
		fmt.Sprintf(`({clock: %s, metrics: %s, chat: %s, tokens: %s})[c.dataset.stream]`,
			before["clock"].Events, before["metrics"].Events, before["chat"].Events, before["tokens"].Events)))
	after := cardsOf(t, tab)

	wantWhole(t, resumed)
	wantWhole(t, after)
	for name := range after {
		if number(t, after[name].Events) <= number(t, before[name].Events) {
			t.Errorf("%s: %s events before the cut and %s after it", name, before[name].Events, after[name].Events)
		}
	}
	// Five seconds of four measurements each were taken while the page was away.
	if n := number(t, resumed["metrics"].Caught); n < 12 {
		t.Errorf("metrics: only %d events were caught up", n)
	}
}

// In three tabs the page has twelve streams, twice what a browser connects: it works
// because only the tab that is shown has them open.
func TestPageWorksInThreeTabs(t *testing.T) {
	var open atomic.Int64 // streams, of all tabs
	url, _ := startDemo(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept") == "text/event-stream" {
				open.Add(1)
				defer open.Add(-1)
			}
			next.ServeHTTP(w, r)
		})
	})
	first := chromiumtest.Start(t)
	watchConsole(t, first)
	do(t, first, chromedp.Navigate(url+"/"))
	await(t, first, every(`c.dataset.state === 'live' && n('events') >= 1`))

	tabs := []context.Context{first}
	for range 2 {
		tab, closeTab := chromedp.NewContext(first)
		t.Cleanup(closeTab)
		if err := chromedp.Do(tab); err != nil { // the tab lives as long as this context
			t.Fatal(err)
		}
		watchConsole(t, tab)
		do(t, tab, bringToFront)
		do(t, tab, chromedp.Navigate(url+"/"))
		await(t, tab, every(flowing+` && n('events') >= 1`))
		for _, hidden := range tabs {
			await(t, hidden, every(`c.dataset.state === 'paused' || c.dataset.state === 'ended'`))
		}
		tabs = append(tabs, tab)
		if n := open.Load(); n > 4 {
			t.Errorf("%d streams are open with %d tabs, want four at most", n, len(tabs))
		}
	}

	// A message finds a connection, and the tab that speaks hears itself.
	last := tabs[2]
	do(t, last, chromedp.SendKeys("#text", "hello from the third tab\n"))
	await(t, last, `[...document.querySelectorAll('.message.you')].some((m) => m.textContent.includes('hello from the third tab'))`)

	// The first tab goes on where it was, and has not missed the message.
	before := cardsOf(t, first)
	do(t, first, bringToFront)
	await(t, first, every(flowing))
	await(t, first, `[...document.querySelectorAll('.message')].some((m) => m.textContent.includes('hello from the third tab'))`)
	await(t, first, `Number(document.querySelector('[data-stream=clock] [data-field=caught]').textContent) > 0`)
	after := cardsOf(t, first)
	wantWhole(t, after)
	if number(t, after["clock"].Events) <= number(t, before["clock"].Events) {
		t.Errorf("the first tab's clock stands still: %+v", after["clock"])
	}
}

// bringToFront shows a tab.
func bringToFront(ctx context.Context, tab *chromedp.Target) (chromedp.Void, error) {
	_, err := cdp.Call(ctx, tab, page.BringToFront, cdp.Empty{})
	return chromedp.Void{}, err
}

// endedPage listens to a stream that ends.
const endedPage = `<!doctype html><title>ended</title><script>
	const source = new EventSource('/tokens?prompt=hello&max_tokens=5&delay=0.01s');
	const seen = [];
	source.onmessage = (event) => seen.push(event.data);
</script>`

// endedRetry is short, so that the test need not wait long for what must not happen.
const endedRetry = 300 * time.Millisecond

// endedConfig bridges the token route with that retry.
func endedConfig(backend string) config.Config {
	return config.Config{
		Upstreams: map[string]config.Upstream{"demo": {Target: backend}},
		Routes: []config.Route{{
			Path: "/tokens", RPC: "ssebridge.demo.v1.TokenService/Generate", Upstream: "demo",
			Request: config.Request{Query: config.Fields{All: true}},
			Retry:   config.Duration(endedRetry),
		}},
	}
}

func TestEndedStreamMakesEventSourceStop(t *testing.T) {
	_, d := startDemo(t, nil)
	b, err := bridge.New(endedConfig(d.BackendAddr().String()), bridge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	requests := &requestLog{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, endedPage)
	})
	mux.Handle("/tokens", requests.record(b))
	url := serveHTTP(t, &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute})
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})

	tab := chromiumtest.Start(t)
	do(t, tab, chromedp.Navigate(url+"/"))
	await(t, tab, `source.readyState === EventSource.CLOSED`)
	wantStatuses(t, requests, "200 204")

	// Three retry periods, each at most 20 % longer for its jitter, by the browser's clock.
	quiet := fmt.Sprintf(`new Promise((done) => setTimeout(done, %d, true))`, 3*endedRetry.Milliseconds()*12/10)
	do(t, tab, chromedp.Evaluate[bool](quiet, chromedp.EvalAwaitPromise))

	wantStatuses(t, requests, "200 204")
	if n := do(t, tab, chromedp.Evaluate[int](`seen.length`)); n != 5 {
		t.Errorf("%d tokens, want 5", n)
	}
	if state := do(t, tab, chromedp.Evaluate[int](`source.readyState`)); state != 2 {
		t.Errorf("readyState %d, want 2", state)
	}
}

// requestLog is the statuses that requests were answered with, in order.
type requestLog struct {
	mu       sync.Mutex
	statuses []string
}

// record notes each request when it has been answered.
func (l *requestLog) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(answer, r)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.statuses = append(l.statuses, strconv.Itoa(answer.status))
	})
}

func wantStatuses(t *testing.T, l *requestLog, want string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if got := strings.Join(l.statuses, " "); got != want {
		t.Fatalf("the requests were answered %q, want %q", got, want)
	}
}

// statusWriter notes the status of a response, and leaves everything else to the writer
// below it, which http.ResponseController finds.
type statusWriter struct {
	http.ResponseWriter

	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
