package demo

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of a cut.
const (
	defaultCut = 5 * time.Second
	maxCut     = 30 * time.Second
	maxPages   = 1000 // pages that are connected or cut at once
)

// cutter closes the TCP connections of one page, and refuses new ones for a while. A
// page puts its random id into each of its URLs as `page`, which the cutter takes out,
// so that the bridge behind it never sees it.
type cutter struct {
	now func() time.Time

	mu    sync.Mutex
	pages map[string]*cutPage
}

// cutPage is what is known of a page that is connected or cut.
type cutPage struct {
	until time.Time                  // refused until then
	conns map[*http.Request]net.Conn // of its running requests
}

func newCutter() *cutter {
	return &cutter{now: time.Now, pages: make(map[string]*cutPage)}
}

// connKey is the key of a request's net.Conn in its context.
type connKey struct{}

// connContext is an http.Server's ConnContext: it lets the cutter find a request's connection.
func connContext(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// guard passes requests on to next, without their page's id, and drops those of a page
// that is cut.
func (c *cutter) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, rest := takePage(r.URL.RawQuery)
		if page == "" {
			next.ServeHTTP(w, r)
			return
		}
		conn, _ := r.Context().Value(connKey{}).(net.Conn)
		if !c.begin(page, r, conn) {
			drop(conn)
			// A status would end the page's EventSource for good; this ends the connection.
			panic(http.ErrAbortHandler)
		}
		defer c.end(page, r)

		inner := *r // as http.StripPrefix does it
		inner.URL = new(url.URL)
		*inner.URL = *r.URL
		inner.URL.RawQuery = rest
		inner.RequestURI = inner.URL.RequestURI()
		next.ServeHTTP(kept{w}, &inner)
	})
}

// kept keeps the connection with the http.Server: the bridge would take it over, and then
// there would be nothing to cut.
type kept struct{ http.ResponseWriter }

// Unwrap is for http.ResponseController.
func (k kept) Unwrap() http.ResponseWriter { return k.ResponseWriter }

// serveCut answers POST /demo/cut?page=ID&seconds=N: 204, and the page's connections
// are gone. The connection that asked is closed after the answer.
func (c *cutter) serveCut(w http.ResponseWriter, r *http.Request) {
	page, _ := takePage(r.URL.RawQuery)
	if page == "" {
		http.Error(w, "page: the page's id, 16 to 32 hexadecimal digits, is missing", http.StatusBadRequest)
		return
	}
	length := defaultCut
	if seconds := r.URL.Query().Get("seconds"); seconds != "" {
		n, err := strconv.Atoi(seconds)
		if err != nil || n < 1 || n > int(maxCut/time.Second) {
			http.Error(w, "seconds: must be a number from 1 to 30", http.StatusBadRequest)
			return
		}
		length = time.Duration(n) * time.Second
	}
	conns, ok := c.cut(page, length)
	if !ok {
		http.Error(w, "too many pages are cut already", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Connection", "close")
	w.WriteHeader(http.StatusNoContent)
	for _, conn := range conns {
		drop(conn)
	}
}

// begin notes a request of a page; false when the page is cut.
func (c *cutter) begin(page string, r *http.Request, conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.page(page)
	if p == nil {
		return true // so many pages: this one cannot be cut, but works
	}
	if c.now().Before(p.until) {
		return false
	}
	p.conns[r] = conn
	return true
}

// end forgets a request.
func (c *cutter) end(page string, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pages[page]
	if p == nil {
		return
	}
	delete(p.conns, r)
	if len(p.conns) == 0 && !c.now().Before(p.until) {
		delete(c.pages, page)
	}
}

// cut refuses a page for a while and returns the connections that it has; false when
// there are too many pages.
func (c *cutter) cut(page string, length time.Duration) ([]net.Conn, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.page(page)
	if p == nil {
		return nil, false
	}
	p.until = c.now().Add(length)
	conns := make([]net.Conn, 0, len(p.conns))
	for _, conn := range p.conns {
		conns = append(conns, conn)
	}
	return conns, true
}

// page returns what is known of a page, made if need be; nil when there are too many.
// The caller holds mu.
func (c *cutter) page(id string) *cutPage {
	if p := c.pages[id]; p != nil {
		return p
	}
	if len(c.pages) >= maxPages {
		for other, p := range c.pages {
			if len(p.conns) == 0 && !c.now().Before(p.until) {
				delete(c.pages, other)
			}
		}
		if len(c.pages) >= maxPages {
			return nil
		}
	}
	p := &cutPage{conns: make(map[*http.Request]net.Conn)}
	c.pages[id] = p
	return p
}

// drop closes a connection with a reset, as a pulled plug would look at best: without
// an end of the response, and without an answer.
func drop(conn net.Conn) {
	if conn == nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // if it fails, the close is an ordinary one
	}
	_ = conn.Close() // it may be closed already
}

// takePage takes the page's id out of a query and leaves the rest of it byte for byte.
// A value that is no page's id stays where it is, and is "".
func takePage(query string) (page, rest string) {
	kept := make([]string, 0, 4)
	for part := range strings.SplitSeq(query, "&") {
		if id, ok := strings.CutPrefix(part, "page="); ok && page == "" && isPageID(id) {
			page = id
			continue
		}
		kept = append(kept, part)
	}
	return page, strings.Join(kept, "&")
}

// isPageID reports whether id can be a page's: 16 to 32 hexadecimal digits.
func isPageID(id string) bool {
	if len(id) < 16 || len(id) > 32 {
		return false
	}
	for _, r := range []byte(id) {
		if (r < '0' || r > '9') && (r < 'a' || r > 'f') {
			return false
		}
	}
	return true
}
