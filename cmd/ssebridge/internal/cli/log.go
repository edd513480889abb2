package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/grpc/grpclog"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/internal/logqueue"
)

// lastWords is how long the end of the process waits for lines that are not written yet. A
// reader that has stalled must not keep the process alive.
const lastWords = time.Second

// logFlags are the flags about the log, and the log that a command has made by them.
type logFlags struct {
	level  string
	format string

	serves func(*slog.Logger) // is given the logger of a command that serves

	json   bool
	logger *slog.Logger    // nil while there is none, as for commands that do not log
	lines  *logqueue.Queue // writes them
}

func (f *logFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.level, "log-level", "", "least level to log: debug, info, warn or error (default info; demo: warn)")
	flags.StringVar(&f.format, "log-format", "auto", "text, json, or auto: text on a terminal, else json")
}

// open makes the logger that a command's flags ask for; level is the command's default. It
// never waits for the log.
func (f *logFlags) open(cmd *cobra.Command, level slog.Level) (*slog.Logger, error) {
	if f.level != "" {
		if err := level.UnmarshalText([]byte(f.level)); err != nil {
			return nil, &usageError{
				command: cmd.CommandPath(),
				err:     fmt.Errorf("--log-level %q: must be debug, info, warn or error", f.level),
			}
		}
	}
	options := &slog.HandlerOptions{Level: level}
	out := cmd.ErrOrStderr()
	var handler slog.Handler
	switch {
	case f.format == "text", f.format == "auto" && isTerminal(out):
		handler = slog.NewTextHandler(out, options)
	case f.format == "json", f.format == "auto":
		options.ReplaceAttr = durationWithUnit
		handler, f.json = slog.NewJSONHandler(out, options), true
	default:
		return nil, &usageError{
			command: cmd.CommandPath(),
			err:     fmt.Errorf("--log-format %q: must be auto, text or json", f.format),
		}
	}
	f.lines = logqueue.New(handler)
	f.logger = slog.New(f.lines.Handler())
	if f.serves != nil {
		f.serves(f.logger)
	}
	return f.logger, nil
}

// durationWithUnit spells durations as text does, 1.5s: JSON would have a number of
// nanoseconds.
func durationWithUnit(_ []string, attr slog.Attr) slog.Attr {
	if attr.Value.Kind() == slog.KindDuration {
		attr.Value = slog.StringValue(attr.Value.Duration().String())
	}
	return attr
}

// fail reports the error that ends a command: as a record where the log is JSON, for its
// reader may take nothing else, and as text for people where it is not. hint is for people.
func (f *logFlags) fail(stderr io.Writer, err error, hint string) {
	text := fmt.Sprintf("ssebridge: %v\n%s", err, hint)
	switch {
	case f.logger == nil:
		fmt.Fprint(stderr, text)
	case f.json:
		f.logger.Error("ssebridge has failed", "error", err.Error())
	default:
		f.lines.Put(logqueue.Text(stderr, text))
	}
}

// flush waits for the last lines, for lastWords at most.
func (f *logFlags) flush() {
	if f.lines != nil {
		f.lines.Flush(lastWords)
	}
}

// RedirectLogs makes the loggers that Go and gRPC keep for the whole process log to
// logger. They would write to stderr themselves, and wait for it.
func RedirectLogs(logger *slog.Logger) {
	slog.SetDefault(logger)
	info, warning, failure := io.Discard, io.Discard, io.Discard
	// gRPC's own default is errors alone.
	switch strings.ToLower(os.Getenv("GRPC_GO_LOG_SEVERITY_LEVEL")) {
	case "info":
		info = slog.NewLogLogger(logger.Handler(), slog.LevelInfo).Writer()
	case "warning":
		warning = slog.NewLogLogger(logger.Handler(), slog.LevelWarn).Writer()
	default:
		failure = slog.NewLogLogger(logger.Handler(), slog.LevelError).Writer()
	}
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(info, warning, failure))
}

// accessLevels are the values of --access-log.
func accessLevels() map[string]bridge.AccessLog {
	return map[string]bridge.AccessLog{"off": bridge.AccessOff, "end": bridge.AccessEnds, "all": bridge.AccessAll}
}

// accessLog reads the flag of that name.
func accessLog(cmd *cobra.Command, text string) (bridge.AccessLog, error) {
	level, known := accessLevels()[text]
	if !known {
		return level, &usageError{command: cmd.CommandPath(), err: fmt.Errorf("--access-log %q: must be off, end or all", text)}
	}
	return level, nil
}

// isTerminal reports whether w is a terminal, or another character device.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
