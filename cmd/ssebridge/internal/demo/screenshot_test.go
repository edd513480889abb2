package demo

import (
	"bytes"
	"image/png"
	"os"
	"testing"
)

const (
	screenshot       = "../../../../docs/demo.png"
	screenshotWidth  = 1280
	screenshotHeight = 1276
	screenshotBytes  = 300 << 10
)

// The documentation shows the page as it is after a cut. To take it again:
//
//	go -C cmd/ssebridge/browsertest test ./demo -run Screenshot -update
func TestScreenshotIsSmallEnoughForTheDocumentation(t *testing.T) {
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
