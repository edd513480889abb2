// Command ssebridge lets browsers listen to gRPC server streams; see `ssebridge help`.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/ssebridge/ssebridge/cmd/ssebridge/internal/cli"
)

func main() {
	// First of all: one that comes while a command that serves starts must not kill it.
	hangups := make(chan os.Signal, 1) // one stands for all that were before it
	signal.Notify(hangups, syscall.SIGHUP)
	ctx, cancel := context.WithCancelCause(context.Background())
	// Two places: a second signal must not be lost while the first is being acted on.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		cancel(cli.Cause(<-signals)) // ask clients to reconnect, end cleanly
		<-signals
		os.Exit(cli.ExitKilled) // the second signal does not wait
	}()

	os.Exit(cli.Run(ctx, os.Args[1:], cli.Process{
		Stdout: os.Stdout, Stderr: os.Stderr,
		Hangups: hangups, LeaveHangups: func() { signal.Reset(syscall.SIGHUP) },
		LeaveSignals: func() { signal.Reset(os.Interrupt, syscall.SIGTERM) },
		Serves: func(logger *slog.Logger) {
			// The log's reader may end before the bridge does. Go would end the process at the
			// next line (package os/signal); now the line is counted as lost.
			signal.Ignore(syscall.SIGPIPE)
			cli.RedirectLogs(logger)
		},
	}))
}
