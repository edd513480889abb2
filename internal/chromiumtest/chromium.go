package chromiumtest

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp"
)

// Start starts a browser with one tab, which live as long as the test, and returns the
// tab's context. options come after those that every test wants.
//
// On a machine with much else to do a browser now and then ends before it has begun. That
// is tried once more, and told: what is tested is not whether Chromium starts.
func Start(t testing.TB, options ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	tab, stop, err := start(options)
	if err != nil {
		t.Logf("Chromium does not start: %v; trying once more", err)
		tab, stop, err = start(options)
	}
	if err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	t.Cleanup(stop)

	return tab
}

// start starts a browser until stop is called, which waits for its end.
func start(options []chromedp.ExecAllocatorOption) (tab context.Context, stop func(), err error) {
	all := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU)
	allocator, end := chromedp.NewExecAllocator(context.Background(), append(all, options...)...)
	tab, closeTab := chromedp.NewContext(allocator, chromedp.WithNewWindow(false))
	stop = func() {
		closeTab()
		end()
	}
	if err := chromedp.Do(tab); err != nil { // the browser lives as long as this context
		stop()

		return nil, nil, err
	}

	return tab, stop, nil
}
