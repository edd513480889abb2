// Floor is the least that sending events to many sockets costs: one thread, an
// epoll, and a write for each client of bytes that are ready. There is no
// heartbeat, no deadline, no resuming, no second stream and no backend; nothing
// that works can be cheaper.
//
// Without -coalesce each event is written to each client by itself. With it, a
// client is a position in the bytes of the last events, and one write takes
// everything that it has not got yet.
package main

import (
	"context"
	"flag"
	"os"

	"github.com/ssebridge/ssebridge/bench/internal/pace"
	"github.com/ssebridge/ssebridge/bench/internal/publish"
)

func main() {
	coalesce := flag.Bool("coalesce", false, "write all that a client has not got yet at once")
	options := publish.Parse(os.Args[1:])
	publish.Main(func(ctx context.Context) error { return run(ctx, options, *coalesce) })
}

func run(ctx context.Context, options publish.Options, coalesce bool) error {
	s, err := newServer(options.Listen, coalesce)
	if err != nil {
		return err
	}
	window, err := options.Open(ctx, s.wakeUp)
	if err != nil {
		return err
	}
	if _, err := pace.Parse(options.Pace, window.Window); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, s.wakeUp)
	defer stop()
	return s.run(ctx, newTicker(options.Pace, window.Window))
}
