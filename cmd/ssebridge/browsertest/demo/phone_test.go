package demo_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/ssebridge/ssebridge/cmd/ssebridge/browsertest/internal/chromiumtest"
)

// The page fits a phone: nothing scrolls sideways, and the links stay.
func TestPageFitsAPhone(t *testing.T) {
	url, _ := startDemo(t, nil)
	tab := chromiumtest.Start(t)
	watchConsole(t, tab)
	for _, width := range []int64{320, 375, 414, 521, 720, 1280} {
		do(t, tab, chromedp.EmulateViewport(width, 720))
		do(t, tab, chromedp.Navigate(url+"/"))
		await(t, tab, every(`c.dataset.state === 'live' && n('events') >= 1`))
		wide := do(t, tab, chromedp.Evaluate[[]string](`[...document.querySelectorAll('body *')]
			.filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + .5
				&& !e.closest('.try code, svg, .sr, .skip, .lanes, .meter .id'))
			.map((e) => e.tagName + '.' + e.className + ' ' + Math.round(e.getBoundingClientRect().right))`))
		if over := do(t, tab, chromedp.Evaluate[int](`document.documentElement.scrollWidth - innerWidth`)); over > 0 || len(wide) > 0 {
			t.Errorf("%d px wide: %d px too many; %v", width, over, wide)
		}
		if !do(t, tab, chromedp.Evaluate[bool](`[...document.querySelectorAll('.top nav a')].every((a) => a.checkVisibility() && a.offsetWidth > 0)`)) {
			t.Errorf("%d px wide: links are hidden", width)
		}
		if folder := os.Getenv("SCREENSHOTS"); folder != "" {
			name := filepath.Join(folder, fmt.Sprintf("demo-%d.png", width))
			if err := os.WriteFile(name, do(t, tab, chromedp.CaptureScreenshot()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The theme goes round, and comes back to the system's.
func TestThemeComesBackToTheSystems(t *testing.T) {
	url, _ := startDemo(t, nil)
	tab := chromiumtest.Start(t)
	do(t, tab, chromedp.Navigate(url+"/"))
	const state = `document.getElementById('theme').textContent.trim() + ' ' + (document.documentElement.dataset.theme ?? '-') + ' ' + (localStorage.getItem('theme') ?? '-')`
	for i, want := range []string{"System - -", "Light light light", "Dark dark dark", "System - -"} {
		if i > 0 {
			do(t, tab, chromedp.Click("#theme"))
		}
		if got := do(t, tab, chromedp.Evaluate[string](state)); got != want {
			t.Errorf("after %d clicks: %s, want %s", i, got, want)
		}
	}
}

// A stream that ended with an error is not said to have ended well.
func TestAStreamThatFailedIsNotEnded(t *testing.T) {
	page, _ := startDemo(t, nil)
	target, err := url.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // streams that the page gives up
	mux.Handle("/", proxy)
	mux.HandleFunc("/bad/{last}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Last-Event-ID") != "" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "retry: 10\nid: ~end\nevent: %s\ndata: {}\n\n", r.PathValue("last"))
	})
	base := serveHTTP(t, &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute})
	tab := chromiumtest.Start(t)
	do(t, tab, chromedp.Navigate(base+"/"))
	for last, want := range map[string]string{"stream-error": "broken", "stream-end": "ended"} {
		state := do(t, tab, chromedp.Evaluate[string](fmt.Sprintf(`(async () => {
			const { Stream } = await import('/stream.js');
			return await new Promise((done) => {
				const s = new Stream({names: ['message'], position: () => 0, onEvent() {}, onChange() {
					if (['ended', 'broken', 'failed'].includes(s.state)) done(s.state);
				}});
				s.start('/bad/%s');
			});
		})()`, last), chromedp.EvalAwaitPromise))
		if state != want {
			t.Errorf("%s: %s, want %s", last, state, want)
		}
	}
}
