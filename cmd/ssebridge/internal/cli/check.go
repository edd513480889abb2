package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/cmd/ssebridge/internal/listen"
)

func newCheck() *cobra.Command {
	var (
		path    string
		connect bool
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check a configuration without serving it",
		Long: `check reads a configuration and prints everything that is wrong with it, each with its
file, line and column, and exits 1; or says that it is valid and exits 0. With --connect
it also asks the upstreams for their schemas, checks the routes against them, and prints
each route with its RPC and its types. What is probably a mistake, though it can be served,
is a warning on standard error.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file, err := load(path)
			if err != nil {
				return err
			}
			if err := check(file); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if connect {
				ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
				defer cancel()
				if err := inspect(ctx, out, cmd.ErrOrStderr(), file); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintf(out, "%s is valid: %s, %s%s\n", path,
				count(len(file.Config.Routes), "route"), count(len(file.Config.Upstreams), "upstream"), notCompared(file, connect))
			return err
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&connect, "connect", false, "also resolve the schemas, from the upstreams where they come by reflection")
	cmd.Flags().DurationVar(&timeout, "timeout", 15*time.Second, "with --connect: how long upstreams may take in all")
	return cmd
}

// quiet is for a configuration that is checked, not served: all that is wrong comes back as an error.
func quiet() bridge.Options {
	return bridge.Options{Logger: slog.New(slog.DiscardHandler)}
}

// check says whether a bridge can be made of the file, and its listener secured.
func check(file *config.File) error {
	err := bridge.Check(file.Config, quiet())
	if t := file.Config.TLS; t != nil {
		_, wrong := listen.NewCertificates(*t)
		err = errors.Join(err, wrong)
	}
	if err != nil {
		return invalid(file.Locate(err))
	}
	return nil
}

// inspect prints each route of the file as the schemas of its upstreams describe it, and
// to warnings what is probably a mistake.
func inspect(ctx context.Context, out, warnings io.Writer, file *config.File) error {
	routes, err := bridge.Inspect(ctx, file.Config, quiet())
	if err != nil {
		return fmt.Errorf("%s:\n%w", unfit(err), file.Locate(err))
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "ROUTE\tMETHODS\tRPC\tREQUEST\tANSWER\tSHARING")
	for _, r := range routes {
		kind := "one "
		if r.Streaming {
			kind = "stream of "
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s%s\t%s\n", r.Path, strings.Join(r.Methods, ","), r.RPC, r.Request, kind, r.Event, cmp.Or(r.Sharing, "-"))
	}
	fmt.Fprintln(table)
	for _, r := range routes {
		for _, w := range r.Warnings {
			fmt.Fprintf(warnings, "warning: %v\n", file.Locate(w))
		}
	}
	return table.Flush()
}

// notCompared says of which upstreams the schema was not looked at.
func notCompared(file *config.File, connect bool) string {
	if connect {
		return ""
	}
	for _, u := range file.Config.Upstreams {
		if u.Schema.DescriptorSet == "" && u.Schema.Proto == nil {
			return "; not compared with the backend: --connect does that"
		}
	}
	return ""
}

// unfit reports in words whether routes contradict their upstreams, or upstreams could not
// be asked.
func unfit(err error) string {
	var found config.Errors
	if errors.As(err, &found) && !slices.ContainsFunc(found, func(e *config.Error) bool { return !strings.HasPrefix(e.Path, "upstreams.") }) {
		return "the configuration cannot be compared with its upstreams"
	}
	return "the configuration does not fit its upstreams"
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
