// Package source fills the logs of topics: it opens an RPC for a topic, renders its messages
// as frames, and knows the cursor at which the RPC can be reopened.
package source

import (
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/admit"
	"github.com/ssebridge/ssebridge/bridge/internal/observe"
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
	"github.com/ssebridge/ssebridge/bridge/internal/site"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/upstream"
)

// Sources creates the sources of a bridge's topics.
type Sources struct {
	Logger    *slog.Logger
	Observer  *observe.Observer
	Gate      *admit.Gate
	Epochs    *sse.Epochs
	Rendering Processors // of large messages
	Born      time.Time  // when the bridge was made
}

// Request is a request in the form that the backend gets. The source owns its memory.
type Request struct {
	Wire        []byte
	Metadata    metadata.MD
	TraceOrigin *observe.TraceOrigin // nil if the request is not traced
	Expires     time.Time            // when the credentials in it expire; zero: it has none, or they never do
}

// Size returns the approximate memory of the request.
func (r Request) Size() int {
	size := len(r.Wire)
	for name, values := range r.Metadata {
		size += len(name)
		for _, value := range values {
			size += len(value) + admit.FieldSize
		}
	}
	return size
}

// Open returns the epoch and the parameters of a topic that a request opens. Its log begins
// after the given cursor, unless that is nil. A catch-up ends when it meets another log.
func (s *Sources) Open(e *site.Endpoint, request Request, after []byte, catchUp bool) (epoch string, params topic.Params) {
	epoch = s.Epochs.New(e.ID)
	src := &source{
		sources:    s,
		endpoint:   e,
		fromClient: after != nil,
		caughtUp:   after != nil,
		catchUp:    catchUp,
		call:       upstream.Call{Method: e.Route.RPC, Request: request.Wire, Metadata: request.Metadata},
		expires:    request.Expires,
		ids: sse.NewNumbering(sse.NumberingParams{
			Mode: e.Mode, Epoch: epoch, Repeats: e.Route.Event.Cursor == config.CursorRepeats, Own: e.OwnRPC(), After: after,
		}),
	}
	src.rpcs.Init(s.Observer, request.TraceOrigin)
	kept := s.Gate.Retain(request.Size())
	return epoch, topic.Params{
		Source:   src,
		Renderer: src,
		Judge:    func(err error) topic.Verdict { return judgeFor(src, err) },
		Silent:   func(err error) bool { return errors.Is(err, upstream.ErrSilent) },
		Cursors:  cursors(e),
		Slots:    e.Backend.CatchUps,
		Log: replay.Params{
			Events: e.Route.Replay.Events,
			Bytes:  int64(e.Route.Replay.Bytes),
			Age:    time.Duration(e.Route.Replay.Age),
		},
		Linger: time.Duration(*e.Route.Replay.Linger),
		Backoff: topic.Backoff{
			Initial: time.Duration(e.Route.Reconnect.Initial),
			Max:     time.Duration(e.Route.Reconnect.Max),
		},
		Attempts:  *e.Route.Reconnect.Attempts,
		CatchUp:   e.MaxCatchUp(),
		Dated:     e.Route.Resume != nil && e.Route.Resume.MaxAge != 0,
		Ended:     kept.Release,
		Reopen:    e.Route.OnComplete == config.OnCompleteReopen,
		StopOnBad: e.Route.OnBadMessage == config.OnBadMessageStop,
		NoReturn:  e.Mode == sse.None,
		Abandon:   e.Mode == sse.None && !e.Route.Share,
	}
}

// RPCsOf returns the trace of the RPCs that fill the log of a client's topic.
func RPCsOf(sub *topic.Subscription) *observe.RPCs {
	if src, ok := sub.Topic.Source().(*source); ok {
		return &src.rpcs
	}
	return nil
}

// Renewer returns a function by which the RPCs of a topic that a client joins are opened with the client's
// credentials, if they expire later than those that the topic has; nil if they never expire. Until then
// the topic has the RPC that it has: the backend tells the clients of a topic not apart.
func Renewer(request Request) func(topic.Source) {
	if request.Expires.IsZero() {
		return nil
	}
	return func(joined topic.Source) {
		if src, ok := joined.(*source); ok {
			src.renewed.offer(request)
		}
	}
}

// Starter returns a function that sets the request for which a topic opens its next RPCs, nil
// if the request is not traced.
func Starter(from *observe.TraceOrigin) func(topic.Source) {
	if from == nil {
		return nil
	}
	return func(opened topic.Source) {
		if src, ok := opened.(*source); ok {
			src.rpcs.SetTraceOrigin(from)
		}
	}
}
