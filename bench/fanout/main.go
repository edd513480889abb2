package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/load"
	"github.com/ssebridge/ssebridge/bench/internal/program"
	"github.com/ssebridge/ssebridge/bench/internal/publish"
)

// First arguments with which the program is another process of a run.
const (
	asBackend = "backend"
	asLoad    = "load"
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case asBackend:
			options := publish.Parse(os.Args[2:])
			publish.Main(func(ctx context.Context) error { return runBackend(ctx, options) })
			return
		case asLoad:
			params := loadParams(os.Args[2:])
			fail(load.Serve(context.Background(), params, os.Stdin, os.Stdout))
			return
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := fanoutByFlags(ctx)
	stop()
	fail(err)
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// loadParams reads the command line of a load generator.
func loadParams(arguments []string) load.Params {
	var p load.Params
	flags := flag.NewFlagSet(asLoad, flag.ExitOnError)
	flags.StringVar(&p.Addr, "addr", "", "address of the server")
	flags.StringVar(&p.Path, "path", "/", "path of the stream")
	flags.StringVar(&p.Transport, "transport", load.HTTP1, load.HTTP1+", "+load.HTTP2+" or "+load.TLS)
	flags.StringVar(&p.Window, "window", "", "address of a sender that waits for the clients")
	flags.IntVar(&p.Buffer, "buffer", 0, "bytes of a client's receive buffer; 0 is the kernel's choice")
	flags.BoolVar(&p.Compressed, "compressed", false, "ask for gzip")
	_ = flags.Parse(arguments) // ends the program on errors
	return p
}

// fanoutByFlags runs the cases that the command line names.
func fanoutByFlags(ctx context.Context) error {
	set := settings{settle: 500 * time.Millisecond, out: os.Stdout}
	names := flag.String("case", "", "cases to run, separated by commas; all if empty: "+strings.Join(caseNames(), ", "))
	markdown := flag.String("markdown", "", "file whose generated section is replaced, with a plot next to it")
	strict := flag.Bool("strict", false, "fail where a bar is missed")
	flag.IntVar(&set.repetitions, "repetitions", 5, "rounds of each case; the medians count")
	flag.DurationVar(&set.duration, "duration", 5*time.Second, "how long a window is")
	flag.DurationVar(&set.idle, "idle", time.Minute, "how long idle clients are left alone before their memory is measured")
	flag.IntVar(&set.window, "window", 8, "how many events may be on their way to the slowest client when saturated")
	flag.IntVar(&set.churning, "churn", 100000, "how many clients come and go")
	flag.Parse()
	if err := program.NoArgs(flag.CommandLine); err != nil {
		return err
	}
	chosen, err := chooseCases(*names)
	if err != nil {
		return err
	}
	reports, on, err := runCases(ctx, set, chosen)
	if err == nil && *markdown != "" {
		err = writeMarkdown(*markdown, set, on, reports)
	}
	if err == nil && *strict {
		err = missed(reports)
	}
	return err
}
