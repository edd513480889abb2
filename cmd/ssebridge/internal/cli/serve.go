package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/cmd/ssebridge/internal/listen"
)

// defaultConfig is the configuration file that is read when none is named.
const defaultConfig = "ssebridge.yaml"

func newServe(log *logFlags, hangups <-chan os.Signal) *cobra.Command {
	params, access := serveParams{hangups: hangups}, ""
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the routes of a configuration",
		Long: `serve listens as the configuration says and bridges its routes. It starts without its
upstreams and waits for them. On SIGTERM or SIGINT it asks clients to reconnect
(drain.delay, drain.grace), ends cleanly and exits 0; without clients SIGINT ends it
at once. A second signal ends it at once with exit code 130.

When the configuration's file, or a file that it names, changes, and on SIGHUP, it is read
again: a good one is taken over without disturbing the streams of routes that are as they
were, a bad one is told of in the log and changes nothing.

Traces are sent by OTLP where OpenTelemetry's environment variables name an endpoint
(OTEL_EXPORTER_OTLP_ENDPOINT).`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if params.logger, err = log.open(cmd, slog.LevelInfo); err != nil {
				return err
			}
			if params.access, err = accessLog(cmd, access); err != nil {
				return err
			}
			return serve(cmd.Context(), params)
		},
	}
	configFlag(cmd, &params.path)
	cmd.Flags().StringVar(&access, "access-log", "all",
		"lines about requests: all (where streams begin and where requests and streams end), end, or off")
	cmd.Flags().BoolVar(&params.pprof, "pprof", false, "profiles on the admin listener, to callers on this machine")
	return cmd
}

// serveParams are the flags of serve, and its process's signals.
type serveParams struct {
	path    string // of the configuration
	pprof   bool
	logger  *slog.Logger
	access  bridge.AccessLog
	hangups <-chan os.Signal // each asks for the configuration to be read again
}

// configFlag adds the flag that names the configuration file.
func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", defaultConfig, "configuration file")
}

// load reads a configuration file.
func load(path string) (*config.File, error) {
	file, err := config.Load(path, bridge.CheckPaths)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no configuration %s; name one with --config, or have `ssebridge init` write one", path)
	}
	if err != nil {
		return nil, invalid(err)
	}
	return file, nil
}

// invalid says that the configuration is, above all of its errors.
func invalid(err error) error {
	return fmt.Errorf("the configuration is not valid:\n%w", err)
}

// serve bridges the routes of the configuration at a path until ctx is done.
func serve(ctx context.Context, params serveParams) error {
	limitGarbage()
	logger := params.logger
	// Before the file is read, so that no change is missed.
	watcher := watchFile(params.path, logger)
	defer watcher.close()
	file, err := load(params.path)
	if err != nil {
		return err
	}
	cfg, err := fit(file, logger)
	if err != nil {
		return err
	}
	watcher.set(filesOf(params.path, cfg))
	s := &starting{params: params, config: cfg.WithDefaults(), written: cfg.Limits}
	if err := s.loadCertificates(); err != nil {
		return invalid(file.Locate(err))
	}
	traces, err := newTracing(ctx, logger)
	if err != nil {
		return err
	}
	defer traces.close(context.WithoutCancel(ctx))
	s.spans = &traces.losses
	var serving *serving // once the listeners are open
	b, err := bridge.New(cfg, bridge.Options{
		Logger: logger, AccessLog: params.access,
		Leaving: func() {
			if serving != nil {
				serving.renew(context.WithoutCancel(ctx))
			}
		},
		TracerProvider: traces.tracerProvider(), Propagator: traces.propagator,
	})
	if err != nil {
		return invalid(file.Locate(err))
	}
	if serving, err = s.open(ctx, b); err != nil {
		return errors.Join(file.Locate(err), b.Close())
	}
	reload := &reloading{
		params: params, bridge: b, watcher: watcher, started: s.config, current: s.config, certificates: s.certificates, expiry: s.expiry,
		public: s.proxied,
	}
	watching, stop := context.WithCancel(ctx)
	var looking sync.WaitGroup
	if s.expiry != nil {
		looking.Go(func() { s.expiry.run(watching) })
	}
	reloaded := make(chan struct{})
	go func() {
		defer close(reloaded)
		reload.run(watching)
	}()
	err = serving.run(ctx)
	stop()
	looking.Wait()
	awaitReload(reloaded, shutdownTimeout, logger)
	return err
}

// awaitReload waits until reloading has ended, but not forever: a file on a disk that is
// away may never be read, and clients are not served any more.
func awaitReload(ended <-chan struct{}, patience time.Duration, logger *slog.Logger) {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-ended:
	case <-late.C:
		logger.Warn("a reload that is under way is not waited for any longer")
	}
}

// fit fits the configuration to the limits that the system sets this process.
func fit(file *config.File, logger *slog.Logger) (config.Config, error) {
	cfg, lowered, err := listen.Fit(file.Config)
	if err != nil {
		return cfg, invalid(file.Locate(err))
	}
	if lowered > 0 {
		logger.Warn("limits.clients is lowered to what the limit on file descriptors has room for; raise it (ulimit -n, systemd's LimitNOFILE=)",
			"clients", lowered, "default", config.Config{}.WithDefaults().Limits.Clients)
	}
	return cfg, nil
}
