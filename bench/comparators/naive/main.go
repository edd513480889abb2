// Naive is how a net/http server fans events out without a thought about
// it: a channel for each client, and a goroutine that writes and flushes what
// comes out of it. The event is formatted once, at least.
package main

import (
	"context"
	"flag"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/event"
	"github.com/ssebridge/ssebridge/bench/internal/publish"
)

// waiting is how many events a client may be behind; those beyond are lost to it.
const waiting = 256

func main() {
	secure := flag.Bool("tls", false, "HTTP/2 over TLS")
	options := publish.Parse(os.Args[1:])
	publish.Main(func(ctx context.Context) error {
		b := &broadcaster{clients: map[chan []byte]struct{}{}}
		server := &http.Server{Handler: b} //nolint:gosec // publish sets its timeout
		if *secure {
			config, err := publish.TLS()
			if err != nil {
				return err
			}
			server.TLSConfig = config
		}
		return options.Serve(ctx, server, b.send)
	})
}

// broadcaster is its handler.
type broadcaster struct {
	mu      sync.Mutex
	clients map[chan []byte]struct{}
}

// send gives an event to each client that is not too far behind.
func (b *broadcaster) send(place uint64, sent time.Time) error {
	frame := event.AppendFrame(nil, place, sent)
	b.mu.Lock()
	defer b.mu.Unlock()
	for client := range b.clients {
		select {
		case client <- frame:
		default:
		}
	}
	return nil
}

// ServeHTTP writes to a client until it is gone.
func (b *broadcaster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	frames := make(chan []byte, waiting)
	b.mu.Lock()
	b.clients[frames] = struct{}{}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.clients, frames)
		b.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	control := http.NewResponseController(w)
	if control.Flush() != nil {
		return
	}
	for {
		select {
		case frame := <-frames:
			if _, err := w.Write(frame); err != nil || control.Flush() != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}
