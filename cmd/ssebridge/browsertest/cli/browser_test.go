package cli_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/ssebridge/ssebridge/cmd/ssebridge/browsertest/internal/chromiumtest"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// browse opens a page in a real Chromium, which takes any certificate, and returns what waits until an expression is
// true in it.
func browse(t *testing.T, url string) (await func(expression string)) {
	t.Helper()
	tab := chromiumtest.Start(t, chromedp.Flag("ignore-certificate-errors", true))
	if err := chromedp.Do(tab, chromedp.Navigate(url)); err != nil {
		t.Fatalf("Chromium: %v", err)
	}
	return func(expression string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(tab, time.Minute)
		defer cancel()
		poll := chromedp.Poll[bool](expression, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(0))
		if _, err := chromedp.Run(ctx, poll); err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
	}
}

// More streams than a browser opens connections of HTTP/1.1 to one host: they share one of HTTP/2, and go on while the
// certificate is renewed.
func TestBrowserHasManyStreamsOnOneConnection(t *testing.T) {
	folder, authority := t.TempDir(), backendtest.NewAuthority(t)
	renew := func(name string) {
		cert, key := authority.Issue(t, name, "localhost")
		replace(t, filepath.Join(folder, "tls.key"), key)
		replace(t, filepath.Join(folder, "tls.crt"), cert)
	}
	renew("first")
	public, stderr := serveClock(t, folder)
	await := browse(t, "https://"+public+"/nothing") // an answer of the same origin
	await(`(() => {
		window.sources = Array.from({length: 20}, () => new EventSource('/clock'));
		window.heard = sources.map(() => 0);
		window.errors = 0;
		sources.forEach((source, i) => {
			source.onmessage = () => heard[i]++;
			source.onerror = () => errors++;
		});
		return true;
	})()`)
	await(`heard.every((count) => count >= 2)`)
	renew("second")
	stderr.await(t, `msg="the certificate is reloaded"`)
	await(`(() => { window.before = [...heard]; return true; })()`)
	await(`heard.every((count, i) => count >= before[i] + 2) && errors === 0`)
	await(`(() => { sources.forEach((source) => source.close()); return true; })()`)
	await(`fetch('/nothing').then(() => performance.getEntriesByType('resource').some((e) => e.nextHopProtocol === 'h2'))`)
}

// replace replaces a file in one step by a copy of another one.
func replace(t *testing.T, path, by string) {
	t.Helper()
	data, err := os.ReadFile(by)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
