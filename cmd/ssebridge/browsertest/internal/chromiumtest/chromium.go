package chromiumtest

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp"
)

// Start starts a browser with one tab and returns the tab's context. The browser ends with the
// test. options follow the default ones.
//
// On a busy machine a browser occasionally exits during its start. Start then logs that and tries
// once more, since no test is about the start of Chromium.
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

// start starts a browser. stop ends it and waits for its end.
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
