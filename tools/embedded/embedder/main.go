// Command embedder is a program that embeds the bridge and links nothing besides:
// it serves a configuration, by net/http, until its standard input ends.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/config"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path string) error {
	file, err := config.Load(path)
	if err != nil {
		return err
	}
	b, err := bridge.New(file.Config, bridge.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: b} //nolint:gosec // its clients are the tests
	go func() { _ = server.Serve(listener) }()
	fmt.Fprintln(os.Stderr, "msg=listening on=listen addr="+listener.Addr().String())
	_, _ = io.Copy(io.Discard, os.Stdin)
	err = b.Close()
	_ = server.Close()
	return err
}
