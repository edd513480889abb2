package demo

import (
	"bytes"
	"flag"
	"image/png"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/ssebridge/ssebridge/internal/chromiumtest"
)

var update = flag.Bool("update", false, "take the screenshot of the page in docs again; that takes a minute")

const (
	screenshot       = "../../../../docs/demo.png"
	screenshotWidth  = 1280
	screenshotHeight = 1276
	screenshotBytes  = 300 << 10
)

// The documentation shows the page as it is after a cut. To take it again:
//
//	go test ./cmd/ssebridge/internal/demo -run Screenshot -update
func TestScreenshotIsSmallEnoughForTheDocumentation(t *testing.T) {
	if *update {
		takeScreenshot(t)
	}
	data, err := os.ReadFile(screenshot)
	if err != nil {
		t.Fatal(err)
	}
	got, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if got.Width != screenshotWidth || got.Height != screenshotHeight || len(data) > screenshotBytes {
		t.Errorf("%d×%d in %d bytes; want %d×%d in %d at most",
			got.Width, got.Height, len(data), screenshotWidth, screenshotHeight, screenshotBytes)
	}
}

func takeScreenshot(t *testing.T) {
	t.Helper()
	url, _ := startDemo(t, nil)
	tab := chromiumtest.Start(t)
	do(t, tab, chromedp.EmulateViewport(screenshotWidth, screenshotHeight))
	do(t, tab, chromedp.Navigate(url+"/"))
	// Let the chart and the chat fill, and have an answer under way when the cut comes.
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
	data := do(t, tab, chromedp.CaptureScreenshot())
	if err := os.WriteFile(screenshot, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
