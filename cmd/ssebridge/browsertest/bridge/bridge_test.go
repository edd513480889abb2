package bridge_test

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/cmd/ssebridge/browsertest/internal/chromiumtest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

const watch = "ssebridge.test.v1.FeedService/Watch"

// start runs a bridge until the test ends. text is its configuration in YAML.
func start(t *testing.T, text string) *bridge.Bridge {
	t.Helper()
	file, err := config.Parse("test.yaml", []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	b, err := bridge.New(file.Config, bridge.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// event returns event n of a backend.
func event(n int64) *testv1.FeedEvent {
	return &testv1.FeedEvent{
		Seq: n, Cursor: "~" + strconv.FormatInt(n, 10) + "%", Token: []byte{0xff, byte(n >> 8), byte(n)},
		At: &timestamppb.Timestamp{Seconds: n, Nanos: 5000},
	}
}

// servePage serves a page from which a test's script runs.
func servePage(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = w.Write([]byte("<title>a page</title>"))
}

// openPage starts a browser at a page.
func openPage(t *testing.T, url string) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(chromiumtest.Start(t), 60*time.Second)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate(url+"/")); err != nil {
		t.Fatal(err)
	}
	return ctx
}
