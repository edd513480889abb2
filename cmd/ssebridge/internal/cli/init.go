package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/config"
)

// initFlags are what `init` is asked for.
type initFlags struct {
	target  string
	out     string
	force   bool
	tls     bool
	ca      string
	timeout time.Duration
}

func newInit() *cobra.Command {
	var flags initFlags
	cmd := &cobra.Command{
		Use:   "init --upstream HOST:PORT",
		Short: "Write a configuration for a backend that serves reflection",
		Long: `init asks a running backend what it can do, by server reflection, and writes a
configuration with one route for each of its server-streaming methods. It is checked
before it is written, to standard output or to a file.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if flags.target == "" {
				return &usageError{command: cmd.CommandPath(), err: errors.New("--upstream HOST:PORT is missing")}
			}
			if strings.ContainsFunc(flags.target, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
				return &usageError{command: cmd.CommandPath(), err: errors.New("--upstream: a target has no spaces or control characters")}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), flags.timeout)
			defer cancel()
			text, err := generate(ctx, flags)
			if err != nil {
				return err
			}
			if flags.out == "" {
				_, err = cmd.OutOrStdout().Write(text)

				return err
			}

			return write(flags.out, text, flags.force)
		},
	}
	cmd.Flags().StringVar(&flags.target, "upstream", "", "the backend, any gRPC target: host:port, dns:///name:port, unix:///path")
	cmd.Flags().StringVarP(&flags.out, "out", "o", "", "file to write (default standard output)")
	cmd.Flags().BoolVar(&flags.force, "force", false, "replace the file if there is one")
	cmd.Flags().BoolVar(&flags.tls, "tls", false, "connect to the backend by TLS")
	cmd.Flags().StringVar(&flags.ca, "ca", "", "PEM file of the roots that verify the backend; implies --tls")
	cmd.Flags().DurationVar(&flags.timeout, "timeout", 15*time.Second, "how long the backend may take")

	return cmd
}

// generate asks the backend, and makes a configuration that has been checked against it.
func generate(ctx context.Context, flags initFlags) ([]byte, error) {
	methods, err := methodsOf(ctx, flags)
	if err != nil {
		return nil, err
	}
	streams := serverStreams(methods)
	if len(streams) == 0 {
		return nil, fmt.Errorf("%s has no server-streaming method that could become a route (methods in all: %d)", flags.target, len(methods))
	}
	s := skeleton{Target: flags.target, TLS: flags.tls || flags.ca != "", Streams: streams}
	name := flags.out
	if name == "" {
		name = defaultConfig
	}
	if flags.ca != "" {
		// The configuration names files relative to its own folder.
		if s.CA, err = relativeTo(filepath.Dir(name), flags.ca); err != nil {
			return nil, err
		}
	}
	text, err := s.render()
	if err != nil {
		return nil, err
	}

	file, err := config.Parse(name, text, os.LookupEnv)
	if err != nil {
		return nil, fmt.Errorf("what was generated is not valid, which is a bug:\n%w", err)
	}
	if _, err := bridge.Inspect(ctx, file.Config, quiet()); err != nil {
		return nil, fmt.Errorf("what was generated does not fit the backend:\n%w", file.Locate(err))
	}

	return text, nil
}

// methodsOf asks the backend for its methods.
func methodsOf(ctx context.Context, flags initFlags) ([]bridge.RouteInfo, error) {
	backend := config.Upstream{Target: flags.target, OpenTimeout: config.Duration(flags.timeout)}
	if flags.tls || flags.ca != "" {
		backend.TLS = &config.TLS{CA: flags.ca}
	}

	return bridge.Discover(ctx, backend, quiet())
}

// relativeTo is the path of a file as seen from a folder.
func relativeTo(folder, file string) (string, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	file, err = filepath.Abs(file)
	if err != nil {
		return "", err
	}

	return filepath.Rel(folder, file)
}

// write puts text into a file that does not exist yet; with force, into any.
func write(path string, text []byte, force bool) error {
	mode := os.O_EXCL
	if force {
		mode = os.O_TRUNC
	}
	//nolint:gosec // The file is the one that was asked for, and holds no secret.
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|mode, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already; --force replaces it", path)
	}
	if err != nil {
		return err
	}
	_, err = file.Write(text)

	return errors.Join(err, file.Close())
}
