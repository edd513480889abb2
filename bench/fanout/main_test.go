package main

import (
	"context"
	"os"
	"testing"

	"github.com/ssebridge/ssebridge/bench/internal/load"
	"github.com/ssebridge/ssebridge/bench/internal/publish"
)

// TestMain is a run's other processes too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == asBackend {
		options := publish.Parse(os.Args[2:])
		publish.Main(func(ctx context.Context) error { return runBackend(ctx, options) })
		return
	}
	if len(os.Args) > 1 && os.Args[1] == asLoad {
		fail(load.Serve(context.Background(), loadParams(os.Args[2:]), os.Stdin, os.Stdout))
		return
	}
	// The race detector has a program wait for a second before it ends.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")); err != nil {
		fail(err)
	}
	os.Exit(m.Run())
}
