package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/cmd/ssebridge/internal/demo"
	"github.com/ssebridge/ssebridge/cmd/ssebridge/internal/listen"
)

const (
	demoListen    = "127.0.0.1:8080"
	backendListen = "127.0.0.1:50051"
	// adminListen is any free port: it is printed, and the usual one may be another bridge's.
	adminListen = "127.0.0.1:0"
)

func newDemo(log *logFlags) *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show it: a backend, a bridge and a page to open",
		Long: `demo runs a small gRPC backend, a bridge to it and a page that listens to its streams,
all in this process. The page has a button that cuts its connections for a few seconds.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := log.open(cmd, slog.LevelWarn)
			if err != nil {
				return err
			}
			return runDemo(cmd.Context(), cmd.OutOrStdout(), address, cmd.Flags().Changed("listen"), logger)
		},
	}
	cmd.Flags().StringVar(&address, "listen", demoListen, "address of the page; the default is replaced by a free port if it is taken")
	cmd.AddCommand(newDemoBackend(log))
	return cmd
}

// runDemo serves the demo until ctx is done.
func runDemo(ctx context.Context, out io.Writer, address string, chosen bool, logger *slog.Logger) error {
	listener, err := listenDemo(ctx, out, address, chosen)
	if err != nil {
		return err
	}
	d, err := demo.New(ctx, demo.Params{Logger: logger})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	admin, err := listen.Open(ctx, adminListen)
	if err != nil {
		return errors.Join(err, listener.Close(), d.Close())
	}
	params := serverParams{
		handler: d.Handler(), logger: logger, limits: config.Config{}.WithDefaults().Limits, patience: usualPatience(), streams: ownStreams,
	}
	server := newServer(params)
	server.ConnContext = d.ConnContext
	params.handler = newAdmin(d.Bridge().Admin(), newMetrics(logger, d.Bridge().Collector()), false)
	if err := introduce(out, listener.Addr(), admin.Addr(), d.BackendAddr()); err != nil {
		return errors.Join(err, listener.Close(), admin.Close(), d.Close())
	}

	s := &serving{
		app:    d,
		logger: logger,
		public: []*endpoint{{name: "listen", server: server, listener: listener}},
		admin:  &endpoint{name: "admin", server: newServer(params), listener: admin},
	}
	return s.run(ctx)
}

// listenDemo opens the page's listener. If the default address is taken it opens a
// free port; a chosen address is never replaced.
func listenDemo(ctx context.Context, out io.Writer, address string, chosen bool) (net.Listener, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) && !chosen {
		listener, err = lc.Listen(ctx, "tcp", "127.0.0.1:0")
		if err == nil {
			fmt.Fprintf(out, "%s is taken; using a free port.\n", address)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("--listen: cannot listen on %s: %s", address, listen.Advice(err))
	}
	return listener, nil
}

// introduce says where everything is and what to try.
func introduce(out io.Writer, page, admin, backend net.Addr) error {
	url := "http://" + reachable(page)
	_, err := fmt.Fprintf(out, `
  Open       %[1]s/
  or try     curl -N %[1]s/clock
  and then   curl -N -H 'Last-Event-ID: <the id you saw last>' %[1]s/clock
  Metrics    http://%[2]s/metrics

  The gRPC backend is on %[3]s. Ctrl-C ends everything.

`, url, admin, backend)
	return err
}

// reachable is an address that a browser on this machine can open.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	return fmt.Sprintf("localhost:%d", tcp.Port)
}

func newDemoBackend(log *logFlags) *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use:   "backend",
		Short: "Run only the demo's gRPC backend",
		Long: `backend runs the demo's gRPC server, with reflection and health, for a bridge of your own:
the example configuration looks for it on 127.0.0.1:50051.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := log.open(cmd, slog.LevelInfo)
			if err != nil {
				return err
			}
			listener, err := listen.Open(cmd.Context(), address)
			if err != nil {
				return fmt.Errorf("--listen: %w", err)
			}
			logger.Info("listening", "on", "demo backend", "addr", listener.Addr().String())
			return demo.NewBackend().Serve(cmd.Context(), listener)
		},
	}
	cmd.Flags().StringVar(&address, "listen", backendListen, "address of the backend; unix:///path is a unix socket")
	return cmd
}
