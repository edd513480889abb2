// Embed is the bridge in a program of somebody else's: its handler in a net/http
// server, in clear or over TLS with HTTP/2, and beside it Go's profiler, which
// says where the time goes.
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/publish"
	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/config"
)

func main() {
	path := flag.String("config", "ssebridge.yaml", "the bridge's configuration")
	secure := flag.Bool("tls", false, "serve HTTP/2 over TLS")
	flag.Parse()
	publish.Main(func(ctx context.Context) error { return run(ctx, *path, *secure) })
}

// run serves until ctx is done.
func run(ctx context.Context, path string, secure bool) (err error) {
	file, err := config.Load(path, bridge.CheckPaths)
	if err != nil {
		return err
	}
	b, err := bridge.New(file.Config, bridge.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	public := &http.Server{
		Handler: b, Protocols: protocols, ReadHeaderTimeout: 10 * time.Second,
		// As the command has it: what HTTP/2 remembers of the headers it sends is of no use to streams.
		HTTP2: &http.HTTP2Config{MaxEncoderHeaderTableSize: 1},
	}
	if secure {
		if public.TLSConfig, err = publish.TLS(); err != nil {
			return err
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/", b.Admin())
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	admin := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}

	done := make(chan error, 2) // one result each
	go func() { done <- serve(ctx, public, file.Config.Listen) }()
	go func() { done <- serve(ctx, admin, *file.Config.Admin) }()
	return errors.Join(<-done, <-done)
}

// serve serves at an address until ctx is done.
func serve(ctx context.Context, server *http.Server, address string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // its connections are cut, which is meant
	defer stop()
	if server.TLSConfig != nil {
		err = server.ServeTLS(listener, "", "")
	} else {
		err = server.Serve(listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
