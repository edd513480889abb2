// Poster publishes events to a server that takes them by HTTP, as nchan does.
//
// It posts over several connections in turn, one request on each at a time, so
// that the server may take several events at once and is what limits how many
// there are. The requests are written one after another, and a server with one
// thread that epoll wakes up reads them in that order.
package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/publish"
)

func main() {
	to := flag.String("to", "127.0.0.1:80", "address of the server")
	path := flag.String("path", "/publish", "where events are posted to")
	options := publish.Parse(os.Args[1:])
	publish.Main(func(ctx context.Context) error { return run(ctx, options, *to, *path) })
}

// run publishes until ctx is done, or the server does not take an event.
func run(ctx context.Context, options publish.Options, to, path string) (err error) {
	lines := make([]*line, 0, options.Size)
	defer func() {
		for _, l := range lines {
			err = errors.Join(err, l.close())
		}
	}()
	for range cap(lines) {
		l, err := dial(ctx, to, path)
		if err != nil {
			return err
		}
		lines = append(lines, l)
	}
	return options.Run(ctx, func(place uint64, sent time.Time) error {
		return lines[place%uint64(len(lines))].post(ctx, place, sent)
	})
}
