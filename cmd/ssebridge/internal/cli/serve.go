package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/config"
)

// defaultConfig is the configuration file that is read when none is named.
const defaultConfig = "ssebridge.yaml"

func newServe(log *logFlags) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the routes of a configuration",
		Long: `serve listens as the configuration says and bridges its routes. It starts without its
upstreams and waits for them. On SIGTERM or SIGINT it tells clients to come back
(drain.delay, drain.grace), ends cleanly and exits 0; a second signal ends it at once
with exit code 130.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := log.logger(cmd, slog.LevelInfo)
			if err != nil {
				return err
			}

			return serve(cmd.Context(), path, logger)
		},
	}
	configFlag(cmd, &path)

	return cmd
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

// serve bridges the routes of the configuration at path until ctx is done.
func serve(ctx context.Context, path string, logger *slog.Logger) error {
	file, err := load(path)
	if err != nil {
		return err
	}
	b, err := bridge.New(file.Config, bridge.Options{Logger: logger})
	if err != nil {
		return invalid(file.Locate(err))
	}
	s, err := open(ctx, file.Config.WithDefaults(), b, logger)
	if err != nil {
		return errors.Join(file.Locate(err), b.Close())
	}

	return s.run(ctx)
}

// open opens the listeners of a configuration, given with its defaults, for a bridge.
func open(ctx context.Context, cfg config.Config, b *bridge.Bridge, logger *slog.Logger) (*serving, error) {
	public, err := listen(ctx, "listen", cfg.Listen)
	if err != nil {
		return nil, err
	}
	s := &serving{
		app:      b,
		logger:   logger,
		public:   &endpoint{name: "listen", server: newServer(b, logger), listener: public},
		patience: time.Duration(*cfg.Drain.Delay) + time.Duration(*cfg.Drain.Grace) + shutdownTimeout,
	}
	if *cfg.Admin != "" {
		admin, err := listen(ctx, "admin", *cfg.Admin)
		if err != nil {
			return nil, errors.Join(err, public.Close())
		}
		s.admin = &endpoint{name: "admin", server: newServer(b.Admin(), logger), listener: admin}
	}

	return s, nil
}
