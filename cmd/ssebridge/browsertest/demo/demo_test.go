package demo_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/cmd/ssebridge/internal/demo"
)

// startDemo serves the whole demo until the test ends, behind wrap if that is not nil,
// and returns where.
func startDemo(t *testing.T, wrap func(http.Handler) http.Handler) (url string, d *demo.Demo) {
	t.Helper()
	d, err := demo.New(context.Background(), demo.Params{})
	if err != nil {
		t.Fatal(err)
	}
	handler := d.Handler()
	if wrap != nil {
		handler = wrap(handler)
	}
	url = serveHTTP(t, &http.Server{Handler: handler, ConnContext: d.ConnContext, ReadHeaderTimeout: time.Minute})
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return url, d
}

// serveHTTP serves on a port of its own until the test ends; then it cuts the
// remaining clients.
func serveHTTP(t *testing.T, server *http.Server) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String()
}
