package bridge_test

import (
	"bytes"
	"errors"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/ssebridge/ssebridge/bridge"
)

// faultyBody is a body with a fault in it.
type faultyBody struct{}

func (faultyBody) Read([]byte) (int, error) { panic(errFaulty) }

func (faultyBody) Close() error { return nil }

var errFaulty = errors.New("a fault")

// lockedLog is a log that two goroutines may use.
type lockedLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestThePanicOfARequestIsLoggedWithItsLine: the server logs a panic with the stack on which it began. The request
// has no answer, and others do.
func TestThePanicOfARequestIsLoggedWithItsLine(t *testing.T) {
	b, err := bridge.New(parse(t, "upstreams: {app: {target: 'localhost:1'}}\n"+feedRoute("")), bridge.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, test := range []struct {
		name       string
		http2, tls bool
	}{{"HTTP/1.1", false, false}, {"h2c", true, false}, {"HTTP/1.1 by TLS", false, true}, {"HTTP/2 by TLS", true, true}} {
		t.Run(test.name, func(t *testing.T) {
			logged, recovered := &lockedLog{}, make(chan any, 1)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/feed" {
					return
				}
				defer func() {
					reason := recover()
					recovered <- reason
					panic(reason)
				}()
				r.Body, r.ContentLength = faultyBody{}, 1
				b.ServeHTTP(w, r)
			}))
			server.Config.ErrorLog = log.New(logged, "", 0)
			server.Config.Protocols = protocols(true, true)
			server.Config.Protocols.SetHTTP2(true)
			server.EnableHTTP2 = true
			if test.tls {
				server.StartTLS()
			} else {
				server.Start()
			}
			client := server.Client()
			if transport, ok := client.Transport.(*http.Transport); ok {
				transport.Protocols = protocols(!test.http2, test.http2 && !test.tls)
				transport.Protocols.SetHTTP2(test.http2 && test.tls)
			}
			response, err := client.Get(server.URL + "/feed")
			if err == nil {
				_ = response.Body.Close() // it is not to be there
				t.Errorf("answered %d", response.StatusCode)
			}
			if response, err = client.Get(server.URL + "/another"); err != nil {
				t.Fatal(err)
			} else if err := response.Body.Close(); err != nil {
				t.Error(err)
			}
			server.Close()
			if reason, ok := (<-recovered).(error); !ok || !errors.Is(reason, errFaulty) {
				t.Errorf("a middleware recovers %v", reason)
			}
			for _, want := range []string{"panic serving 127.0.0.1", "a fault", "faultyBody.Read", "panic_test.go:"} {
				if !strings.Contains(logged.String(), want) {
					t.Errorf("the log has no %q:\n%s", want, logged)
				}
			}
		})
	}
}
