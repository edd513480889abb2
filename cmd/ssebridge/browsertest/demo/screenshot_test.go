package demo_test

import (
	"bytes"
	"context"
	"flag"
	"image/png"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/ssebridge/ssebridge/cmd/ssebridge/browsertest/internal/chromiumtest"
)

var update = flag.Bool("update", false, "take the screenshot of the page in docs again; that takes a minute")

// The demo's own test holds the file in docs to the same bounds: here the go command would keep the
// test's result although the file has changed, since it is of another module.
const (
	screenshot       = "../../../../docs/demo.png"
	screenshotWidth  = 1280
	screenshotHeight = 1276
	screenshotBytes  = 300 << 10
)

// The documentation shows the page as it is after a cut. To take it again:
//
//	go -C cmd/ssebridge/browsertest test ./demo -run Screenshot -update
func TestScreenshotFitsTheDocumentation(t *testing.T) {
	url, _ := startDemo(t, nil)
	tab := chromiumtest.Start(t)
	do(t, tab, chromedp.EmulateViewport(screenshotWidth, screenshotHeight))
	do(t, tab, chromedp.Navigate(url+"/"))
	if *update {
		cutWhenFull(t, tab)
	}
	data := do(t, tab, chromedp.CaptureScreenshot())
	got, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if got.Width != screenshotWidth || got.Height != screenshotHeight || len(data) > screenshotBytes {
		t.Errorf("%d×%d in %d bytes; want %d×%d in %d at most",
			got.Width, got.Height, len(data), screenshotWidth, screenshotHeight, screenshotBytes)
	}
	if *update {
		if err := os.WriteFile(screenshot, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// cutWhenFull lets the chart and the chat fill, cuts the page, and waits until its streams have resumed.
func cutWhenFull(t *testing.T, tab context.Context) {
	t.Helper()
	// An answer is under way when the cut comes.
	slowly := chromedp.WithPollingTimeout(time.Minute)
	for _, expression := range []string{
		`document.querySelectorAll('.message').length >= 5`,
		`document.getElementById('answer').textContent.length > 400`,
	} {
		if _, err := chromedp.Run(tab, chromedp.Poll[bool](expression, slowly)); err != nil {
			t.Fatal(err)
		}
	}
	do(t, tab, chromedp.Click("#cut"))
	await(t, tab, every(`c.dataset.state === 'cut'`))
	await(t, tab, every(flowing+` && n('resumes') >= 1`))
	await(t, tab, `document.querySelectorAll('.ticks .caught ~ li:not(.caught)').length >= 4`)
}
