package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ssebridge/ssebridge/bridge"
)

// logFlags are the flags that say what is logged and how.
type logFlags struct {
	level  string
	format string
}

func (f *logFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.level, "log-level", "", "least level to log: debug, info, warn or error (default info; demo: warn)")
	flags.StringVar(&f.format, "log-format", "auto", "text, json, or auto: text on a terminal, else json")
}

// logger makes the logger that a command's flags ask for; level is the command's default.
func (f *logFlags) logger(cmd *cobra.Command, level slog.Level) (*slog.Logger, error) {
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
	switch {
	case f.format == "text", f.format == "auto" && isTerminal(out):
		return slog.New(slog.NewTextHandler(out, options)), nil
	case f.format == "json", f.format == "auto":
		return slog.New(slog.NewJSONHandler(out, options)), nil
	default:
		return nil, &usageError{
			command: cmd.CommandPath(),
			err:     fmt.Errorf("--log-format %q: must be auto, text or json", f.format),
		}
	}
}

// accessLevels are what --access-log may be.
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

// isTerminal reports whether w is a character device, which is what a terminal is to a log.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()

	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
