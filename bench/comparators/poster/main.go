// Poster publishes events to a server that takes them by HTTP, as nchan does: one
// after another, over one connection, so that they stay in order.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/event"
	"github.com/ssebridge/ssebridge/bench/internal/publish"
)

func main() {
	url := flag.String("url", "", "where events are posted to")
	options := publish.Parse(os.Args[1:])
	publish.Main(func(ctx context.Context) error {
		return options.Run(ctx, func(place uint64, sent time.Time) error {
			return post(ctx, *url, event.AppendJSON(nil, place, sent))
		})
	})
}

// post publishes one event.
func post(ctx context.Context, url string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // it was only read from
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
}
