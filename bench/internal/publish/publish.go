// Package publish is what the servers of the benchmarks that make their own
// events have in common: the flags, the pace, and ending when they are told to.
// It knows nothing of how events are sent.
package publish

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/pace"
)

// Options are a server's command line.
type Options struct {
	Listen string // for clients
	Window string // where readers tell how far clients are; "" for none
	Size   int    // of the window
	Pace   string // see pace.Parse
}

// Parse reads a command line without the program's name, and ends the program
// where it is wrong. A server that has more flags declares them before.
func Parse(arguments []string) Options {
	var o Options
	flag.StringVar(&o.Listen, "listen", "127.0.0.1:8080", "address for clients")
	flag.StringVar(&o.Window, "window", "", "address at which a load generator tells how far its clients are")
	flag.IntVar(&o.Size, "ahead", 8, "how many events may be on their way in pace "+pace.Windowed)
	flag.StringVar(&o.Pace, "pace", "30", "events a second, or "+pace.Idle+", "+pace.Unlimited+", "+pace.Windowed)
	_ = flag.CommandLine.Parse(arguments) // ends the program on errors
	return o
}

// Main runs a program until it is told to end, and ends it with its exit code.
func Main(run func(ctx context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Window is a window that is being served.
type Window struct {
	*pace.Window

	listener net.Listener
	done     chan error
}

// Open serves a window; where the options name no address it is one that stays shut.
func (o Options) Open(ctx context.Context, onChange func()) (*Window, error) {
	w := &Window{Window: pace.NewWindow(o.Size)}
	w.OnChange(onChange)
	if o.Window == "" {
		return w, nil
	}
	var err error
	if w.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", o.Window); err != nil {
		return nil, err
	}
	w.done = make(chan error, 1)
	go func() { w.done <- w.Serve(w.listener) }()
	return w, nil
}

// Close stops serving the window and waits for that. Load generators must have
// closed their ends.
func (w *Window) Close() error {
	if w.listener == nil {
		return nil
	}
	return errors.Join(w.listener.Close(), <-w.done)
}

// Run calls send for each event at the options' pace until ctx is done.
func (o Options) Run(ctx context.Context, send func(place uint64, sent time.Time) error) error {
	window, err := o.Open(ctx, nil)
	if err != nil {
		return err
	}
	p, err := pace.Parse(o.Pace, window.Window)
	if err == nil {
		err = p.Run(ctx, send)
	}
	return errors.Join(err, window.Close())
}

// Serve serves HTTP/1.1 and HTTP/2 in clear, or over TLS where there are
// certificates, and calls send for each event, until ctx is done. What clients
// still get then is cut.
func (o Options) Serve(ctx context.Context, server *http.Server, send func(place uint64, sent time.Time) error) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return err
	}
	server.ReadHeaderTimeout = 10 * time.Second
	served := make(chan error, 1)
	go func() {
		if server.TLSConfig != nil {
			served <- server.ServeTLS(listener, "", "")
			return
		}
		server.Protocols = new(http.Protocols)
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true)
		served <- server.Serve(listener)
	}()
	err = o.Run(ctx, send)
	return errors.Join(err, server.Close(), ignoreClosed(<-served))
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
