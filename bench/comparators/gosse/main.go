// Gosse fans events out with github.com/tmaxmax/go-sse, as its documentation has
// it: a Server with its default provider and no replayer.
package main

import (
	"context"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/tmaxmax/go-sse"

	"github.com/ssebridge/ssebridge/bench/internal/event"
	"github.com/ssebridge/ssebridge/bench/internal/publish"
)

func main() {
	options := publish.Parse(os.Args[1:])
	publish.Main(func(ctx context.Context) error {
		events := &sse.Server{OnSession: accept}
		server := &http.Server{Handler: events} //nolint:gosec // publish sets its timeout
		return options.Serve(ctx, server, func(place uint64, sent time.Time) error {
			message := &sse.Message{ID: sse.ID("abcdefghijklmnopqrstuvwxyz-" + strconv.FormatUint(place, 10))}
			message.AppendData(string(event.AppendJSON(nil, place, sent)))
			return events.Publish(message)
		})
	})
}

// accept has the response's head sent before there is an event, which go-sse
// leaves to the embedder.
func accept(w http.ResponseWriter, _ *http.Request) (topics []string, allowed bool) {
	w.Header().Set("Content-Type", "text/event-stream")
	return []string{sse.DefaultTopic}, http.NewResponseController(w).Flush() == nil
}
