package backendtest

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"
)

// Intermediary is an HTTP/2 proxy in front of a backend, like an ingress or a mesh. It passes RPCs
// on until Answer makes it answer them itself.
type Intermediary struct {
	addr   string
	answer atomic.Pointer[http.Handler]
	asked  atomic.Int64
}

// StartIntermediary runs a proxy in front of backend until the test ends. With an authority it
// serves TLS, with a certificate for 127.0.0.1. The backend must listen on a TCP port without TLS.
func StartIntermediary(tb testing.TB, backend *Backend, authority *Authority) *Intermediary {
	tb.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DisableCompression: true}
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: backend.Addr()}) },
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0), // cancelled RPCs are no errors
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	m := new(Intermediary)
	server := &http.Server{
		Protocols:         protocols,
		ReadHeaderTimeout: awaitTimeout,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if answer := m.answer.Load(); answer != nil {
				m.asked.Add(1)
				(*answer).ServeHTTP(w, r)
				return
			}
			proxy.ServeHTTP(w, r)
		}),
	}
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("backendtest: listen: %v", err)
	}
	m.addr = listener.Addr().String()
	served := make(chan error, 1)
	if authority == nil {
		go func() { served <- server.Serve(listener) }()
	} else {
		certFile, keyFile := authority.Issue(tb, "intermediary", "127.0.0.1")
		go func() { served <- server.ServeTLS(listener, certFile, keyFile) }()
	}
	tb.Cleanup(func() {
		if err := server.Close(); err != nil {
			tb.Errorf("backendtest: %v", err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			tb.Errorf("backendtest: the intermediary ended: %v", err)
		}
		transport.CloseIdleConnections()
	})
	return m
}

// Addr returns the address to dial.
func (m *Intermediary) Addr() string { return m.addr }

// Answer makes answer handle all further requests; nil passes them on again.
func (m *Intermediary) Answer(answer http.Handler) {
	if answer == nil {
		m.answer.Store(nil)
		return
	}
	m.answer.Store(&answer)
}

// Asked returns the number of requests that the proxy has answered itself.
func (m *Intermediary) Asked() int64 { return m.asked.Load() }

// AwaitAsked waits until the proxy has answered at least n requests itself.
func (m *Intermediary) AwaitAsked(tb testing.TB, n int64) {
	tb.Helper()
	deadline := time.Now().Add(awaitTimeout)
	for m.asked.Load() < n {
		if time.Now().After(deadline) {
			tb.Fatalf("backendtest: %d requests were answered, not %d", m.asked.Load(), n)
		}
		time.Sleep(time.Millisecond)
	}
}

// ForeignAnswer is an answer that does not come from a backend.
type ForeignAnswer struct {
	Name   string
	Answer http.HandlerFunc
}

// foreignPage is in the body of each foreign answer that has one.
const foreignPage = "<html>default backend 4711</html>"

// ForeignAnswers returns the answers of proxies between a client and a backend.
func ForeignAnswers() []ForeignAnswer {
	var all []ForeignAnswer
	add := func(name string, answer http.HandlerFunc) { all = append(all, ForeignAnswer{name, answer}) }
	page := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(foreignPage))
		}
	}
	for _, status := range []int{400, 401, 403, 404, 405, 429, 500, 502, 503, 504} {
		add(http.StatusText(status), page(status))
	}
	add("a login page", page(http.StatusOK))
	add("a status without a page", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	add("a page without an end", func(w http.ResponseWriter, r *http.Request) {
		page(http.StatusNotFound)(w, r)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	add("a redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://login.example/", http.StatusFound)
	})
	add("a reset", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	grpcHead := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/grpc")
		_ = http.NewResponseController(w).Flush()
	}
	add("a reset behind headers", func(w http.ResponseWriter, _ *http.Request) {
		grpcHead(w)
		panic(http.ErrAbortHandler)
	})
	add("headers and an end without trailers", func(w http.ResponseWriter, _ *http.Request) { grpcHead(w) })
	add("trailers without a status", func(w http.ResponseWriter, _ *http.Request) {
		grpcHead(w)
		w.Header().Set(http.TrailerPrefix+"X-Proxy", "1")
	})
	// The answers of service mesh proxies, which speak gRPC.
	refuses := func(fields ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			for i := 0; i+1 < len(fields); i += 2 {
				w.Header().Set(fields[i], fields[i+1])
			}
			w.WriteHeader(http.StatusOK)
		}
	}
	add("a route that Envoy does not have", refuses("Grpc-Status", "12", "Server", "envoy"))
	add("a policy of Istio", refuses("Grpc-Status", "7", "Grpc-Message", "RBAC: access denied", "Server", "istio-envoy"))
	add("a policy of Linkerd", refuses("Grpc-Status", "7", "Grpc-Message", "4711", "L5d-Proxy-Error", "4711"))
	add("a gRPC content type without a status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.WriteHeader(http.StatusNotFound)
	})
	return all
}
