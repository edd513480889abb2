package demo

import (
	"context"
	_ "embed" // for demo.yaml
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/config"
)

// configYAML is the configuration of the demo's bridge.
//
//go:embed demo.yaml
var configYAML []byte

// Params is what a [Demo] needs.
type Params struct {
	// Logger takes the bridge's log. Default slog.Default.
	Logger *slog.Logger
}

// Demo is the whole demo in one process: the backend on a port of its own, a bridge
// that is connected to it over TCP as it would be to any service, and the site. The
// caller serves Handler, with ConnContext in the http.Server, and in the end calls
// Drain and Close.
type Demo struct {
	bridge  *bridge.Bridge
	handler http.Handler
	backend net.Addr

	stop    context.CancelFunc
	stopped chan error // the backend's result; one, so that its goroutine never waits
}

// New starts the demo. The port that the backend is on is the system's choice.
func New(ctx context.Context, params Params) (*Demo, error) {
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("demo backend: %w", err)
	}
	file, err := config.Parse("demo.yaml", configYAML, func(name string) (string, bool) {
		return listener.Addr().String(), name == "DEMO_BACKEND"
	})
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	b, err := bridge.New(file.Config, bridge.Options{Logger: params.Logger})
	if err != nil {
		return nil, errors.Join(file.Locate(err), listener.Close())
	}

	d := &Demo{
		bridge:  b,
		handler: newSite(b),
		backend: listener.Addr(),
		stopped: make(chan error, 1),
	}
	// The backend must outlive ctx: the bridge drains before it goes.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stop = stop
	go func() { d.stopped <- NewBackend().Serve(serving, listener) }()
	return d, nil
}

// Handler is the public handler: the page, the bridge's routes, and the cut.
func (d *Demo) Handler() http.Handler { return d.handler }

// ConnContext is for the http.Server that serves Handler; without it no connection can be cut.
func (d *Demo) ConnContext(ctx context.Context, conn net.Conn) context.Context {
	return connContext(ctx, conn)
}

// BackendAddr is where the demo's gRPC server listens.
func (d *Demo) BackendAddr() net.Addr { return d.backend }

// Bridge is the bridge inside, for an admin listener: serve none of it to the page's users.
func (d *Demo) Bridge() *bridge.Bridge { return d.bridge }

// Ready is nil when every route can be served.
func (d *Demo) Ready() error { return d.bridge.Ready() }

// Drain tells every client to come back, and returns when their streams have ended or ctx is done.
func (d *Demo) Drain(ctx context.Context) error { return d.bridge.Drain(ctx) }

// DrainTimes returns how long Drain serves on, and over how long it asks clients to come back.
func (d *Demo) DrainTimes() (delay, grace time.Duration) { return d.bridge.DrainTimes() }

// Clients returns how many streams are being served.
func (d *Demo) Clients() int { return d.bridge.Clients() }

// Close ends the bridge, then the backend, and returns when all of their goroutines have ended.
func (d *Demo) Close() error {
	err := d.bridge.Close()
	d.stop()
	return errors.Join(err, <-d.stopped)
}
