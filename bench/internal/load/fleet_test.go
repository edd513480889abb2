package load

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/event"
)

// events is a server whose clients each get events until they are gone.
func events(t *testing.T, transport string) (addr string, served *atomic.Int64) {
	t.Helper()
	served = &atomic.Int64{}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		var out io.Writer = w
		flush := http.NewResponseController(w).Flush
		if r.Header.Get("Accept-Encoding") == "gzip" {
			w.Header().Set("Content-Encoding", "gzip")
			packed := gzip.NewWriter(w)
			out, flush = packed, func() error {
				if err := packed.Flush(); err != nil {
					return err
				}
				return http.NewResponseController(w).Flush()
			}
		}
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for place := uint64(1); flush() == nil; place++ {
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
			if _, err := out.Write(event.AppendFrame(nil, place, time.Now())); err != nil {
				return
			}
		}
	})
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetHTTP2(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	if transport == TLS {
		server.EnableHTTP2 = true
		server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), served
}

func TestEveryTransportCountsItsEvents(t *testing.T) {
	for _, set := range []struct {
		transport  string
		compressed bool
	}{{HTTP1, false}, {HTTP1, true}, {HTTP2, false}, {TLS, false}} {
		t.Run(fmt.Sprintf("%s, compressed %t", set.transport, set.compressed), func(t *testing.T) {
			addr, _ := events(t, set.transport)
			f, err := newFleet(t.Context(), Params{Addr: addr, Path: "/", Transport: set.transport, Compressed: set.compressed})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := f.close(); err != nil {
					t.Error(err)
				}
			}()
			if err := f.connect(t.Context(), 20); err != nil {
				t.Fatal(err)
			}
			if err := f.start(); err != nil {
				t.Fatal(err)
			}
			waitForEvents(t, f, 5)
			r, err := f.stop(t.Context(), time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			counted, encoded := 20, 0
			if set.compressed {
				counted, encoded = 20/decoders, 20
			}
			if r.Clients != 20 || r.Counted != counted || r.Encoded != encoded || r.Closed+r.Silent+r.Behind != 0 || r.Lost+r.Doubled != 0 {
				t.Errorf("%+v", r)
			}
			if r.Events < 5 || r.Bytes == 0 || r.P50 <= 0 || r.P99 < r.P50 || r.Max < r.P50 || r.Seconds <= 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// waitForEvents waits until each counted client has got some.
func waitForEvents(t *testing.T, f *fleet, events uint64) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		waiting := 0
		for _, c := range f.clients {
			c.mu.Lock()
			if !c.encoded && c.counts.events < events || c.counts.bytes == 0 {
				waiting++
			}
			c.mu.Unlock()
		}
		if waiting == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d clients wait", waiting)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestCommands(t *testing.T) {
	addr, served := events(t, HTTP1)
	var out bytes.Buffer
	in := strings.NewReader("connect 3\nchurn 40\nstart\nstall 1\nstop 0\nstall 5\nstop x\njump\n")
	if err := Serve(t.Context(), Params{Addr: addr, Path: "/", Transport: HTTP1, Buffer: 4096}, in, &out); err != nil {
		t.Fatal(err)
	}
	var replies []Reply
	for decoder := json.NewDecoder(&out); ; {
		var reply Reply
		if err := decoder.Decode(&reply); err != nil {
			break
		}
		replies = append(replies, reply)
	}
	if len(replies) != 8 || served.Load() != 43 {
		t.Fatalf("%d clients: %+v", served.Load(), replies)
	}
	for i, reply := range replies {
		if failed := reply.Error != ""; failed != (i >= 5) {
			t.Errorf("%d: %+v", i, reply)
		}
	}
	if r := replies[4].Result; r == nil || r.Clients != 2 {
		t.Errorf("%+v", r)
	}
}

func TestARefusalIsAnError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusServiceUnavailable) }))
	defer server.Close()
	f, err := newFleet(t.Context(), Params{Addr: server.Listener.Addr().String(), Path: "/", Transport: HTTP1})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.connect(t.Context(), 2); err == nil || !strings.Contains(err.Error(), "503") {
		t.Error(err)
	}
	if err := f.close(); err != nil {
		t.Error(err)
	}
}
