package bridge_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

const mebibyte = 1 << 20

// addressesOf returns an X-Forwarded-For with n entries.
func addressesOf(n int) string { return strings.Repeat("10.0.0.1, ", n-1) + "10.0.0.1" }

// hostileHeads are requests that must be costly only to their sender.
func hostileHeads() map[string]func(r *http.Request) {
	return map[string]func(r *http.Request){
		"many headers": func(r *http.Request) {
			for i := range 10_000 {
				r.Header.Set(fmt.Sprintf("X-Many-%d", i), "1")
			}
		},
		"a header many times":          func(r *http.Request) { r.Header["X-Forwarded-For"] = strings.Split(addressesOf(10_000), ", ") },
		"X-Forwarded-For of 10,000":    func(r *http.Request) { r.Header.Set("X-Forwarded-For", addressesOf(10_000)) },
		"a huge query":                 func(r *http.Request) { r.URL.RawQuery = strings.Repeat("topic=a&", mebibyte/16) },
		"a Last-Event-ID of a MiB":     func(r *http.Request) { r.Header.Set("Last-Event-ID", strings.Repeat("7", mebibyte)) },
		"one of tildes":                func(r *http.Request) { r.Header.Set("Last-Event-ID", strings.Repeat("~", mebibyte)) },
		"one in the query":             func(r *http.Request) { r.URL.RawQuery = "last_event_id=" + strings.Repeat("%25", mebibyte/4) },
		"preferences without an end":   func(r *http.Request) { r.Header.Set("Prefer", strings.Repeat("a,", mebibyte/4)) },
		"a path without an end":        func(r *http.Request) { r.URL.Path = "/feed" + strings.Repeat("/a", mebibyte/8) },
		"an Accept-Encoding of a MiB":  func(r *http.Request) { r.Header.Set("Accept-Encoding", strings.Repeat("gzip;q=0,", mebibyte/9)) },
		"names of fields without ends": func(r *http.Request) { r.URL.RawQuery = strings.Repeat("topic.", mebibyte/16) + "=1" },
	}
}

// The server or the bridge refuses them with a status, before anything is opened for them.
func TestHostileHeadsAreRefused(t *testing.T) {
	b := backend(t)
	g := startWith(t, parse(t, "upstreams: {app: {target: '"+b.Target()+"'}}\ndrain: {delay: 0s, grace: 0s}\ntrusted_proxies: [10.0.0.0/8, 127.0.0.0/8]\n"+
		limited("clients: 1, clients_per_ip: 1, opens_per_ip: 1", "open_grace: 0s")), bridge.Options{})
	for name, spoil := range hostileHeads() {
		for _, h2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, h2c %v", name, h2), func(t *testing.T) {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+"/feed", http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				spoil(request)
				response, err := from(t, "127.0.0.1", h2).RoundTrip(request)
				if err != nil {
					t.Fatal(err)
				}
				_, err = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if response.StatusCode < 400 || response.StatusCode >= 500 || err != nil {
					t.Errorf("answered %d, %v", response.StatusCode, err)
				}
				if n := g.Bridge.TakenSlots(); n != 0 {
					t.Errorf("%d clients are counted", n)
				}
			})
		}
	}
	if b.Opens() != 0 {
		t.Errorf("%d RPCs were opened", b.Opens())
	}
	for line := range strings.Lines(g.Log.String()) {
		if len(line) > 4096 {
			t.Errorf("a line of %d bytes is logged: %s", len(line), line[:100])
		}
	}
	ssetest.Connect(t, g.URL+"/feed", ssetest.Options{}).AwaitEvents(1)
}

// They cannot make the answer large.
func TestHostileHeadsUnderHighLimitsAreAnswered(t *testing.T) {
	for _, full := range []bool{false, true} {
		for name, spoil := range hostileHeads() {
			t.Run(fmt.Sprintf("%s, full %v", name, full), func(t *testing.T) {
				inWorld(t, "trusted_proxies: [10.0.0.0/8, 192.0.2.1]\n"+limited("clients: 1, clients_per_ip: 1, request_bytes: 64MiB, pending_bytes: 1GiB", "max_age: 1m"),
					func(t *testing.T, w *world) {
						if full {
							w.listen("/feed?topic=first", ssetest.Options{})
						}
						request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/feed", http.NoBody)
						spoil(request)
						request.RequestURI = request.URL.RequestURI()
						recorder := httptest.NewRecorder()
						w.Bridge.ServeHTTP(recorder, request)
						if recorder.Code == http.StatusInternalServerError || recorder.Body.Len() > 16<<10 {
							t.Errorf("answered %d, %d bytes: %.500s", recorder.Code, recorder.Body.Len(), recorder.Body)
						}
						synctest.Wait()
						if n := w.Bridge.TakenSlots(); n != map[bool]int{true: 1}[full] {
							t.Errorf("%d clients are counted", n)
						}
					})
			})
		}
	}
}

// Meanwhile they take no stream slot. There are no more of them than limits.clients; further ones are refused at once.
func TestSlowBodiesAreRefusedInTime(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2c %v", h2), func(t *testing.T) {
			const slow, places = 20, 5
			inWorld(t, limited(fmt.Sprintf("clients: %d", places), "methods: [GET, POST]"), func(t *testing.T, w *world) {
				transport := map[bool]http.RoundTripper{false: w.http1, true: w.http2}[h2]
				began := time.Now()
				answers := make(chan int, slow) // one for each request
				var bodies []*io.PipeWriter
				for range slow {
					body, more := io.Pipe()
					bodies = append(bodies, more)
					request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://bridge/feed", body)
					if err != nil {
						t.Fatal(err)
					}
					request.Header.Set("Content-Type", "application/json")
					go func() {
						response, err := transport.RoundTrip(request)
						if err != nil {
							t.Error(err)
							answers <- 0
							return
						}
						_ = response.Body.Close()
						answers <- response.StatusCode
					}()
					go func() { // sends the body byte by byte, without an end
						for {
							if _, err := more.Write([]byte(" ")); err != nil {
								return
							}
							time.Sleep(300 * time.Millisecond) // so that no byte coincides with the deadline
						}
					}()
				}
				synctest.Wait()
				if n := w.Bridge.TakenSlots(); n != 0 {
					t.Errorf("%d clients are counted, whose bodies are not complete", n)
				}
				expect(t, w.listen("/feed", ssetest.Options{}), "open")
				for range slow - places {
					if status := <-answers; status != http.StatusOK { // with stream-retry
						t.Errorf("answered %d", status)
					}
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("refused after %v", took)
				}
				for range places {
					if status := <-answers; status != http.StatusRequestTimeout {
						t.Errorf("answered %d", status)
					}
				}
				if took := time.Since(began); took < bridge.BodyTimeout || took > bridge.BodyTimeout+2*time.Second {
					t.Errorf("answered after %v", took)
				}
				for _, body := range bodies {
					_ = body.Close()
				}
				time.Sleep(2 * time.Second)
			})
		})
	}
}
