package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// witness notes what an attack does to the server beside.
type witness struct {
	routes http.Handler

	mu     sync.Mutex
	open   map[net.Conn]bool // connections
	asked  map[net.Conn]bool // of them, those that have sent something
	paths  map[string]int    // requests so far
	held   map[string]int    // requests that are not answered yet
	cut    int               // requests that the client has given up
	ids    []int64           // Last-Event-IDs
	cookie int               // bytes of the longest Cookie header
	parsed int               // bytes of the longest body that was read whole
}

// ServeHTTP has the routes answer.
func (w *witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body := &countedBody{ReadCloser: r.Body}
	r.Body = body
	path := r.URL.Path
	w.note(func() {
		w.paths[path]++
		w.held[path]++
		w.cookie = max(w.cookie, len(r.Header.Get("Cookie")))
		if id, err := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64); err == nil {
			w.ids = append(w.ids, id)
		}
	})
	defer w.note(func() {
		w.held[path]--
		if r.Context().Err() != nil {
			w.cut++
		}
		if body.whole {
			w.parsed = max(w.parsed, body.count)
		}
	})
	w.routes.ServeHTTP(rw, r)
}

func (w *witness) note(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// watchedListener has the witness note its connections.
type watchedListener struct {
	net.Listener

	witness *witness
}

// Accept notes a connection.
func (l watchedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.witness.note(func() { l.witness.open[conn] = true })
	return watchedConn{conn, l.witness}, nil
}

// watchedConn has the witness note when it is read and closed.
type watchedConn struct {
	net.Conn

	witness *witness
}

// Read notes that the client has sent something.
func (c watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.witness.note(func() { c.witness.asked[c.Conn] = true })
	}
	return n, err
}

// Close notes that the connection is gone.
func (c watchedConn) Close() error {
	c.witness.note(func() {
		delete(c.witness.open, c.Conn)
		delete(c.witness.asked, c.Conn)
	})
	return c.Conn.Close()
}

// countedBody counts what is read of a body.
type countedBody struct {
	io.ReadCloser

	count int
	whole bool
}

// Read reads, and counts.
func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.count += n
	b.whole = errors.Is(err, io.EOF)
	return n, err
}

// An attack that does not do what it is named for would pass every bar.
func TestEachAttackTakesPlace(t *testing.T) {
	const connections = 10 // at least, of those with hundreds
	now := newest()
	old := func(id int64) bool { return id <= newest() && id > now-int64(time.Hour/every)-1 }
	done := map[string]func(w *witness) bool{
		// The bridge takes heads of 64 KiB, and the server beside of 96.
		"crumbs":  func(w *witness) bool { return w.held["/shared"] >= 100 && w.cookie > 50_000 && w.cookie < 64<<10 },
		"bodies":  func(w *witness) bool { return w.held["/put"] >= connections && w.parsed == 0 },
		"answers": func(w *witness) bool { return w.held["/things/large"] >= connections },
		"private": func(w *witness) bool { return w.held["/private"] >= connections },
		"reset":   func(w *witness) bool { return w.paths["/shared"] >= 200 && w.cut >= 200 },
		"oldids": func(w *witness) bool {
			return len(w.ids) >= connections && !slices.ContainsFunc(w.ids, func(id int64) bool { return !old(id) })
		},
		"future": func(w *witness) bool {
			return w.held["/shared"] >= connections && !slices.ContainsFunc(w.ids, func(id int64) bool { return id <= newest() })
		},
		"cursors": func(w *witness) bool {
			early := 0
			for _, id := range w.ids {
				if old(id) {
					early++
				}
			}
			return early >= connections && len(w.ids)-early >= connections
		},
		"idle":   func(w *witness) bool { return len(w.open) >= connections && len(w.asked) == 0 && len(w.paths) == 0 },
		"heads":  func(w *witness) bool { return len(w.asked) >= connections && len(w.paths) == 0 },
		"costly": func(w *witness) bool { return w.parsed > 56<<10 && w.parsed < 64<<10 },
	}
	for _, a := range attacks() {
		t.Run(a.name, func(t *testing.T) {
			w := &witness{
				routes: besideRoutes(), open: map[net.Conn]bool{}, asked: map[net.Conn]bool{}, paths: map[string]int{}, held: map[string]int{},
			}
			server := newBeside(w)
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var running sync.WaitGroup
			running.Go(func() { _ = server.Serve(watchedListener{listener, w}) })
			ctx, stop := context.WithCancel(t.Context())
			defer running.Wait()
			defer server.Close() //nolint:errcheck // its clients are gone
			defer stop()
			to := newTarget(listener.Addr().String())
			to.fewer = 20
			running.Go(func() { a.run(ctx, to) })
			for limit := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
				took := false
				w.note(func() { took = done[a.name](w) })
				if took {
					return
				}
				if time.Now().After(limit) {
					w.note(func() {
						t.Fatalf("%d connections, of them %d with a request; requests %v, held %v, %d cut; a cookie of %d bytes; a body of %d; ids %d",
							len(w.open), len(w.asked), w.paths, w.held, w.cut, w.cookie, w.parsed, w.ids[:min(len(w.ids), 20)])
					})
				}
			}
		})
	}
}
