package serve

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"github.com/ssebridge/ssebridge/bridge/internal/admit"
	"github.com/ssebridge/ssebridge/bridge/internal/cors"
	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/bridge/internal/observe"
	"github.com/ssebridge/ssebridge/bridge/internal/peer"
	"github.com/ssebridge/ssebridge/bridge/internal/route"
	"github.com/ssebridge/ssebridge/bridge/internal/site"
	"github.com/ssebridge/ssebridge/bridge/internal/source"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// Handler serves requests by the current site of a bridge. Its fields are set before the
// first request. It is safe for concurrent use.
type Handler struct {
	Sites    *site.Sites
	Gate     *admit.Gate
	Observer *observe.Observer
	Sources  *source.Sources
	Topics   *topic.Registry
	Clients  *delivery.Clients
	Leaving  *Leaving
	Binding  source.Processors // of large requests
	Logger   *slog.Logger

	reconnects reconnects // HTTP/2 connections on which a client was asked to reconnect
	http10     sync.Once  // the log line about HTTP/1.0
	timed      sync.Once  // the log line about a server's WriteTimeout
}

// ServeHTTP answers a request by its route.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	// r is not used after begin, so that a stream does not keep it in memory.
	stream := h.begin(w, r)
	stream(ctx)
}

// begin handles a request, and returns the stream that is left to run.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request) answer {
	r = peer.Trust(h.Sites.Current().Config.TrustedProxies).Identify(r)
	setCommonHead(w.Header())
	record := h.Observer.Begin(w.Header(), r)
	defer record.HandlerReturned(r)
	x := &exchange{handler: h, w: &response{w, record, h.Gate}, r: r, record: record}
	limitBody(x.w, r, h.Gate.RequestsPressed())
	if h.Leaving.Begun() {
		closeConnection(x.w) // the next request should reach another bridge
	}
	stream, err := respond(x)
	if err != nil {
		x.refuse(err)
		return answered
	}
	return stream
}

// setCommonHead sets the headers of every answer. A shared cache that stored a final id's 204 would stop
// every EventSource, and a browser that guessed a content type could run what a message says.
func setCommonHead(head http.Header) {
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
}

// answer is the rest of a request's answer: a stream to run.
type answer func(ctx context.Context)

// answered is the answer of a request that is complete.
func answered(context.Context) {}

// options answers OPTIONS with the methods of the path's routes, and a browser that asks whether a page
// of another origin may send a request (Fetch Standard, section 3.3.1) by the policy of that request's
// route.
func (h *Handler) options(w http.ResponseWriter, r *http.Request) error {
	s := h.Sites.Current()
	policy := s.CORS
	if method, asks := cors.Preflight(r); asks {
		asked := *r
		asked.Method = method
		if match, err := s.Table.Match(&asked); err == nil {
			policy = s.Endpoints[match.Index].CORS
		}
	}
	policy.Admit(w.Header(), r)
	allowed := s.Table.Allowed(r.URL)
	if allowed == nil {
		return &route.Error{Status: http.StatusNotFound, Message: "no route matches the path"}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	w.WriteHeader(http.StatusNoContent)
	return nil
}
