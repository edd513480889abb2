package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/config"
)

// initFlags are the flags of `init`.
type initFlags struct {
	target      string
	out         string
	force       bool
	tls         bool
	ca          string
	descriptors string
	protos      []string
	importPaths []string
	unary       bool
	timeout     time.Duration
}

func newInit() *cobra.Command {
	var flags initFlags
	cmd := &cobra.Command{
		Use:   "init --upstream HOST:PORT",
		Short: "Write a configuration for a backend",
		Long: `init asks a running backend what it can do, by server reflection, and writes a
configuration with one route for each of its server-streaming methods. It is checked
before it is written, to standard output or to a file. For a backend without reflection,
--descriptor-set or --proto names the files that have its types; it need not run then.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flags.check(); err != nil {
				return &usageError{command: cmd.CommandPath(), err: err}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), flags.timeout)
			defer cancel()
			made, err := generate(ctx, flags)
			if err != nil {
				return err
			}
			if flags.out == "" {
				_, err = cmd.OutOrStdout().Write(made.text)
			} else {
				err = write(flags.out, made.text, flags.force)
			}
			if err != nil {
				return err
			}
			return made.report(cmd.ErrOrStderr(), flags.out)
		},
	}
	cmd.Flags().StringVar(&flags.target, "upstream", "", "the backend, any gRPC target: host:port, dns:///name:port, unix:///path")
	cmd.Flags().StringVarP(&flags.out, "out", "o", "", "file to write (default standard output)")
	cmd.Flags().BoolVar(&flags.force, "force", false, "replace the file if there is one")
	cmd.Flags().BoolVar(&flags.tls, "tls", false, "connect to the backend by TLS")
	cmd.Flags().StringVar(&flags.ca, "ca", "", "PEM file of the roots that verify the backend; implies --tls")
	cmd.Flags().StringVar(&flags.descriptors, "descriptor-set", "", "file with the backend's types, as buf build -o writes it")
	cmd.Flags().StringArrayVar(&flags.protos, "proto", nil, ".proto file with the backend's types, as an import names it; may be repeated")
	cmd.Flags().StringArrayVar(&flags.importPaths, "import-path", nil, "folder of --proto files and their imports; may be repeated (default \".\")")
	cmd.Flags().BoolVar(&flags.unary, "unary", false, "write routes for unary methods too, with POST, or GET where the method has no side effects")
	cmd.Flags().DurationVar(&flags.timeout, "timeout", 15*time.Second, "how long the backend may take")
	return cmd
}

// check finds faults of the flags alone.
func (f initFlags) check() error {
	switch {
	case f.target == "":
		return errors.New("--upstream HOST:PORT is missing")
	case strings.ContainsFunc(f.target, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return errors.New("--upstream: a target has no spaces or control characters")
	case f.descriptors != "" && len(f.protos) > 0:
		return errors.New("--descriptor-set and --proto both name the backend's types; keep one")
	case len(f.importPaths) > 0 && len(f.protos) == 0:
		return errors.New("--import-path needs --proto")
	default:
		return nil
	}
}

// schema returns the source of the types that the flags name.
func (f initFlags) schema() config.Schema {
	if len(f.protos) == 0 {
		return config.Schema{DescriptorSet: f.descriptors}
	}
	paths := f.importPaths
	if len(paths) == 0 {
		paths = []string{"."}
	}
	return config.Schema{Proto: &config.ProtoSources{ImportPaths: paths, Files: f.protos}}
}

// generated is a configuration that init has made.
type generated struct {
	text   []byte
	routes []stream
	left   []leftOut
}

// generate makes a configuration and checks it against the backend.
func generate(ctx context.Context, flags initFlags) (generated, error) {
	backend := config.Upstream{Target: flags.target, OpenTimeout: config.Duration(flags.timeout), Schema: flags.schema()}
	if flags.tls || flags.ca != "" {
		backend.TLS = &config.TLS{CA: flags.ca}
	}
	if err := wrongTarget(backend); err != nil {
		return generated{}, flags.explain(err)
	}
	methods, err := bridge.Discover(ctx, backend, quiet())
	if err != nil {
		return generated{}, flags.explain(err)
	}
	var made generated
	made.routes, made.left = routesOf(methods, flags.unary)
	if len(made.routes) == 0 {
		return generated{}, flags.nothing(methods)
	}
	name := flags.out
	if name == "" {
		name = defaultConfig
	}
	s := skeleton{Target: flags.target, TLS: backend.TLS != nil, Streams: made.routes}
	if err := s.nameFiles(filepath.Dir(name), flags); err != nil {
		return generated{}, err
	}
	if made.text, err = s.render(); err != nil {
		return generated{}, err
	}

	file, err := config.Parse(name, made.text, os.LookupEnv)
	if err != nil {
		return generated{}, fmt.Errorf("what was generated is not valid, which is a bug:\n%w", err)
	}
	if _, err := bridge.Inspect(ctx, file.Config, quiet()); err != nil {
		return generated{}, fmt.Errorf("what was generated does not fit the backend:\n%w", file.Locate(err))
	}
	return made, nil
}

// wrongTarget is what a configuration says of a target, which is stricter than gRPC, and
// knows what people write.
func wrongTarget(backend config.Upstream) error {
	var found config.Errors
	errors.As(config.Config{Upstreams: map[string]config.Upstream{"backend": backend}}.Validate(), &found)
	for _, err := range found {
		if err.Path == "upstreams.backend.target" {
			return err
		}
	}
	return nil
}

// explain words an error in terms of the flags, and names the way out.
func (f initFlags) explain(err error) error {
	var wrong *config.Error
	if !errors.As(err, &wrong) {
		return err
	}
	switch key := strings.TrimPrefix(wrong.Path, "upstreams.backend."); key {
	case "target":
		return fmt.Errorf("--upstream %s: %s", f.target, wrong.Message)
	case "tls.ca":
		return fmt.Errorf("--ca: %s", wrong.Message)
	case "schema.descriptor_set":
		return fmt.Errorf("--descriptor-set: %s", wrong.Message)
	case "schema.proto.files":
		return fmt.Errorf("--proto: %s", wrong.Message)
	case "schema":
		why, _, _ := strings.Cut(wrong.Message, ": have it serve reflection") // the remedies below are in terms of flags
		return fmt.Errorf(`%s answers, but does not tell its types: %s
Have it serve them by reflection (in Go: reflection.Register(server)), or name the files that have them:
  ssebridge init --upstream %[1]s --descriptor-set app.binpb              (from buf build -o app.binpb,
      or protoc --include_imports --descriptor_set_out=app.binpb app.proto)
  ssebridge init --upstream %[1]s --proto app.proto --import-path proto`, f.target, why)
	default:
		return err
	}
}

// nothing says why no method becomes a route.
func (f initFlags) nothing(methods []bridge.RouteInfo) error {
	kind := "server-streaming"
	if f.unary {
		kind = "server-streaming or unary"
	}
	number := 0
	var faults []error
	for _, m := range methods {
		if m.Fault == "" {
			number++
		} else {
			faults = append(faults, fmt.Errorf("  %s %s%s", m.RPC, unreadable, m.Fault))
		}
	}
	none := fmt.Errorf("%s has no %s method that could become a route (methods in all: %d)", f.target, kind, number)
	return errors.Join(append([]error{none}, faults...)...)
}

// report lists the routes that were made, the methods that were left out, and the
// next commands.
func (g generated) report(out io.Writer, path string) error {
	var text strings.Builder
	if path != "" {
		fmt.Fprintf(&text, "%s has %s.\n", path, count(len(g.routes), "route"))
	}
	if len(g.left) > 0 {
		fmt.Fprintln(&text, "Left out:")
		table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
		for _, l := range g.left {
			fmt.Fprintf(table, "  %s\t%s\n", l.rpc, l.why)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	if path != "" {
		fmt.Fprintf(&text, "Next:\n  ssebridge check --config %[1]s --connect\n  ssebridge serve --config %[1]s\n", path)
		streams := slices.DeleteFunc(slices.Clone(g.routes), func(s stream) bool { return s.Method != "" })
		own := slices.IndexFunc(streams, func(s stream) bool { return !strings.HasPrefix(s.RPC, "grpc.") })
		if len(streams) > 0 {
			first := streams[max(own, 0)]
			fmt.Fprintf(&text, "  curl -N http://127.0.0.1:8080%s\n", first.Path)
			if field := first.example(); field != "" {
				fmt.Fprintf(&text, "The backend may require fields of the request, and answer 400 without them. Add them: '%s?%s=...'\n", first.Path, field)
			}
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
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
