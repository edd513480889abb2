package cli

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/ssebridge/ssebridge/internal/chromiumtest"
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
		ctx, cancel := context.WithTimeout(tab, 30*time.Second)
		defer cancel()
		if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingInterval(50*time.Millisecond))); err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
	}
}

// More streams than a browser opens connections of HTTP/1.1 to one host: they share one of HTTP/2, and go on while the
// certificate is renewed.
func TestBrowserHasManyStreamsOnOneConnection(t *testing.T) {
	folder := t.TempDir()
	renew := func(cert, key string) {
		replace(t, filepath.Join(folder, "tls.key"), key)
		replace(t, filepath.Join(folder, "tls.crt"), cert)
	}
	renew(selfSigned(t, "first"))
	s := serveFile(t, filepath.Join(folder, "ssebridge.yaml"), func(s *served) {
		s.write(s.text("tls: {cert: tls.crt, key: tls.key}\n", "/clock"))
	})
	await := browse(t, "https://"+s.public+"/nothing") // an answer of the same origin
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
	renew(selfSigned(t, "second"))
	s.stderr.await(t, `msg="the certificate is reloaded"`)
	await(`(() => { window.before = [...heard]; return true; })()`)
	await(`heard.every((count, i) => count >= before[i] + 2) && errors === 0`)
	await(`(() => { sources.forEach((source) => source.close()); return true; })()`)
	await(`fetch('/nothing').then(() => performance.getEntriesByType('resource').some((e) => e.nextHopProtocol === 'h2'))`)
}
