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

// runBeside serves the bridge's routes without a backend, logs or limits, until it is
// killed.
func runBeside(args []string) error {
	flags := flag.NewFlagSet(asBeside, flag.ExitOnError)
	listen := flags.String("listen", "", "address")
	_ = flags.Parse(args) // exits on errors
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", *listen)
	if err != nil {
		return fmt.Errorf("the server beside: %w", err)
	}
	return newBeside(besideRoutes()).Serve(listener)
}

// newBeside returns a plain net/http server whose timeouts and bounds are those of the
// bridge.
func newBeside(handler http.Handler) *http.Server {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 3 * time.Minute, MaxHeaderBytes: 96 << 10,
		Protocols: new(http.Protocols),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	return server
}

// besideRoutes are the bridge's routes, at about the least work that they can be: an event
// stream is a timer, and a request's body is read and parsed. All large answers are the
// same bytes.
func besideRoutes() http.Handler {
	large := []byte(`{"name":"` + strings.Repeat("x", largeText) + `"}`)
	routes := http.NewServeMux()
	stream := func(w http.ResponseWriter, r *http.Request) {
		topic := r.URL.Query().Get("topic")
		if strings.HasPrefix(topic, "large") {
			serveEvents(w, r, large, false)
			return
		}
		serveEvents(w, r, nil, strings.HasPrefix(topic, "silent"))
	}
	routes.HandleFunc("/shared", stream)
	routes.HandleFunc("/private", stream)
	routes.HandleFunc("/things/{name}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(large) })
	routes.HandleFunc("/put", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		var value any
		if err != nil || json.Unmarshal(body, &value) != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	return routes
}

// serveEvents streams an event each time that one is due, or none.
func serveEvents(w http.ResponseWriter, r *http.Request, data []byte, silent bool) {
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
			if writeEvent(w, at.UnixMilli()/every.Milliseconds(), data) != nil || out.Flush() != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// writeEvent writes an event. Its data is copied nowhere.
func writeEvent(w io.Writer, id int64, data []byte) error {
	if _, err := fmt.Fprintf(w, "id: %d\ndata: ", id); err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n\n")
	return err
}
