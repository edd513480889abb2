package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// runBeside serves what the bridge serves, without a backend, logs or limits, until it is
// killed: an event stream is a timer, and a request's body is read and understood.
func runBeside(args []string) error {
	flags := flag.NewFlagSet(asBeside, flag.ExitOnError)
	listen := flags.String("listen", "", "address")
	_ = flags.Parse(args) // exits on errors
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", *listen)
	if err != nil {
		return fmt.Errorf("the server beside: %w", err)
	}
	large := []byte(`{"name":"` + strings.Repeat("x", largeText) + `"}`)
	handler := http.NewServeMux()
	stream := func(w http.ResponseWriter, r *http.Request) {
		text := ""
		topic := r.URL.Query().Get("topic")
		if strings.HasPrefix(topic, "large") {
			text = string(large)
		}
		serveEvents(w, r, text, strings.HasPrefix(topic, "silent"))
	}
	handler.HandleFunc("/shared", stream)
	handler.HandleFunc("/private", stream)
	handler.HandleFunc("/things/{name}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(large) })
	handler.HandleFunc("/put", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		var value any
		if err != nil || json.Unmarshal(body, &value) != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 3 * time.Minute, MaxHeaderBytes: 96 << 10,
		Protocols: new(http.Protocols),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)

	return server.Serve(listener)
}

// serveEvents streams an event each time that one is due.
func serveEvents(w http.ResponseWriter, r *http.Request, text string, silent bool) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	if out.Flush() != nil {
		return
	}
	if silent {
		<-r.Context().Done()

		return
	}
	again := time.NewTicker(every)
	defer again.Stop()
	for {
		select {
		case at := <-again.C:
			if _, err := fmt.Fprintf(w, "id: %d\ndata: %s\n\n", at.UnixMilli()/every.Milliseconds(), text); err != nil || out.Flush() != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}
