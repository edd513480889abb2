package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
)

// Exit codes of the command.
const (
	ExitOK     = 0   // done; for serve and demo: ended cleanly on a signal
	ExitError  = 1   // the command failed; the reason is on stderr
	ExitUsage  = 2   // the command line is wrong
	ExitKilled = 130 // a second signal came before the clean end
)

// errInterrupted is the cause of a context that Ctrl-C ended.
var errInterrupted = errors.New("interrupted")

// Cause is the cause with which a signal cancels the context of Run.
func Cause(signal os.Signal) error {
	if signal == os.Interrupt {
		return errInterrupted
	}
	return context.Canceled
}

// usageError is a command line that is wrong.
type usageError struct {
	command string // whose help says more
	err     error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// Process is a command's access to the process that it runs in.
type Process struct {
	// Stdout takes the command's output, Stderr logs and errors.
	Stdout, Stderr io.Writer
	// Hangups is where SIGHUP comes, from the start of the process to its end: each asks a
	// command that serves to read its configuration again.
	Hangups <-chan os.Signal
	// LeaveHangups restores the signal's default action, for commands that do not. It may
	// be nil.
	LeaveHangups func()
	// LeaveSignals makes the signals that ask a command to end do so at once, for
	// commands that have nothing to end cleanly. It may be nil.
	LeaveSignals func()
	// Serves is called with the logger of a command that serves, before the command starts
	// to. It may be nil.
	Serves func(logger *slog.Logger)
}

// Run runs the command line args, without the program's name, and returns the exit
// code. Commands that serve do so until ctx is done.
func Run(ctx context.Context, args []string, process Process) int {
	stderr := process.Stderr
	log := &logFlags{serves: process.Serves}
	defer log.flush()
	root := newRoot(process, log)
	root.SetArgs(args)
	root.SetOut(process.Stdout)
	root.SetErr(stderr)

	err := root.ExecuteContext(ctx)
	var usage *usageError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &usage):
		log.fail(stderr, err, fmt.Sprintf("See '%s --help'.\n", usage.command))
		return ExitUsage
	default:
		log.fail(stderr, err, "")
		return ExitError
	}
}

// newRoot makes the command with all its subcommands.
func newRoot(process Process, log *logFlags) *cobra.Command {
	root := &cobra.Command{
		Use:   "ssebridge",
		Short: "Lets browsers listen to gRPC server streams",
		Long: `ssebridge lets browsers listen to gRPC server streams: it opens the RPC, sends each
message as a server-sent event, and makes resuming after a lost connection exact.

Exit codes: 0 done or ended cleanly, 1 failed, 2 wrong usage, 130 a second signal
came before the clean end.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{command: cmd.CommandPath(), err: err}
	})
	log.register(root.PersistentFlags())
	serve := newServe(log, process.Hangups)
	demo := newDemo(log)
	root.PersistentPreRun = func(cmd *cobra.Command, _ []string) {
		if cmd != serve && process.LeaveHangups != nil {
			process.LeaveHangups()
		}
		serves := cmd == serve || cmd == demo || cmd.Parent() == demo
		if !serves && process.LeaveSignals != nil {
			process.LeaveSignals()
		}
	}
	root.AddCommand(
		serve,
		newCheck(),
		newHealth(),
		newInit(),
		demo,
		newVersion(),
	)
	return root
}

// unknownCommand says which command there is not, and which it may have been.
func unknownCommand(cmd *cobra.Command, name string) error {
	err := fmt.Errorf("there is no command %q", name)
	cmd.SuggestionsMinimumDistance = 2 // not set by itself for a command that runs
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		err = fmt.Errorf("there is no command %q; did you mean %q?", name, near[0])
	}
	return &usageError{command: cmd.CommandPath(), err: err}
}

// noArgs refuses arguments, as wrong usage.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{command: cmd.CommandPath(), err: fmt.Errorf("unexpected argument %q", args[0])}
	}
	return nil
}
