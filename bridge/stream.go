package bridge

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/upstream"
)

// stream serves a server-streaming method as an event stream.
func (e *endpoint) stream(w http.ResponseWriter, r *http.Request, c *call) (answer, error) {
	id := sse.ParseID(e.mode, lastEventID(r))
	switch {
	case id.Final: // not a GET, which was answered 204
		return e.sayEnd(w, r, id)
	case e.bridge.leaving.Load():
		return e.turnAway(w, r, sse.Retry{Reason: sse.RetryDrain})
	case c.seat == nil: // by the schema when it came the method was unary
		return e.turnAway(w, r, sse.Retry{Reason: sse.RetryReload})
	}
	if e.bridge.asked.take(r) {
		closeConnection(w)
		if id.Text != "" { // else it may be another stream of the connection
			return e.turnAway(w, r, sse.Retry{Reason: sse.RetryMaxAge})
		}
	}
	c.peer = peerKeyOf(r)
	if err := r.Context().Err(); err != nil {
		e.bridge.shedding.aborts.count(c.peer)
		return nil, err // nothing is opened for a client that has gone
	}
	if err := e.keep(c); err != nil {
		return e.shed(w, r, err)
	}
	sub, err := e.bridge.topics.Join(e.join(c, id))
	switch {
	case isFull(err):
		return e.shed(w, r, err)
	case err != nil: // closed
		return e.turnAway(w, r, sse.Retry{Reason: sse.RetryDrain})
	}
	if err := e.accepted(r.Context(), sub, wantsStatus(r)); err != nil {
		sub.Leave()
		if r.Context().Err() != nil && c.opens {
			e.bridge.shedding.aborts.count(c.peer)
		}
		if errors.Is(err, errLeaving) {
			return e.turnAway(w, r, sse.Retry{Reason: sse.RetryDrain})
		}
		return nil, err
	}
	sub.Opened()
	e.counts.joined(sub)
	voice := &voice{endpoint: e, sub: sub, visit: c.visit}
	c.visit.begins(voice, id.Text)
	seat := c.seat // the call need not be kept
	seat.stay()
	client := &delivery.Client{
		Source:   voice,
		Follower: voice,
		Blocks:   voice,
		Policy:   e.policy(),
		First:    voice.first(id),
		Position: sub.Position,
	}
	sub.SetCut(func() {
		e.counts.turnedAway(limitReplayBytes)
		client.Cut()
	})
	client.Done = func(end delivery.End) {
		voice.visit.ends(end, voice, client)
		sub.Leave()
		seat.leave()
	}
	if c.opens {
		client.Done = e.bridge.shedding.aborts.watch(c.peer, client.Done)
	}
	return e.deliver(w, r, client)
}

// join says which topic a request listens to.
func (e *endpoint) join(c *call, id sse.ID) topic.Join {
	place := e.place(id)
	place.TooOld = e.tooOld(place.Cursor)
	return topic.Join{
		Key:       e.key(c),
		Owner:     &e.owner,
		Private:   !e.route.Share,
		Held:      e.route.Join == config.JoinHeld,
		Own:       e.ownRPC(),
		Resumable: e.route.Resume != nil,
		Ordered:   e.route.Resume != nil && *e.route.Resume.Ordered,
		Place:     place,
		MaxEvents: e.maxCatchUp(),
		From:      c.seat.ownAddr(),
		Parse:     e.parse,
		Admit:     e.mayOpen(c),
		Starts:    c.visit.starter(),
		Open:      func(after []byte, catchUp bool) (string, topic.Params) { return e.open(c, after, catchUp) },
	}
}

// place is where a client says that it stands.
func (e *endpoint) place(id sse.ID) topic.Place {
	place := topic.Place{ID: id.Text, Epoch: id.Epoch, Seq: id.Seq, Cursor: id.Cursor, Base: id.Base, Ordinal: id.Ordinal}
	switch {
	case id.Text == "", id.Cursor != nil:
	case id.Epoch != "":
		place.Forgotten = e.bridge.epochs.Wrote(e.id, id.Epoch)
	default: // no bridge wrote it
		place.Epoch, place.Forgotten = id.Text, true // matches no log
	}
	return place
}

// parse returns the place of a client that has the id of a frame.
func (e *endpoint) parse(id string) topic.Place { return e.place(sse.ParseID(e.mode, id)) }

// ownRPC reports whether a client without an id has an RPC of its own.
func (e *endpoint) ownRPC() bool { return e.route.Join == config.JoinOwn }

// key is the digest of all by which a backend could tell two requests apart, and
// of the route as it is configured now.
func (e *endpoint) key(c *call) string {
	digest := sha256.New()
	digest.Write(fmt.Appendf(nil, "%d %d ", e.id, len(c.Wire)))
	digest.Write(c.Wire)
	digest.Write(c.Identity)
	return string(digest.Sum(nil))
}

// open says how the request's topic runs, if its log begins after a cursor, or
// with none. A catch-up ends when it meets another log.
func (e *endpoint) open(c *call, after []byte, catchUp bool) (epoch string, params topic.Params) {
	epoch = e.bridge.epochs.New(e.id)
	f := &feed{
		endpoint: e,
		asked:    after != nil,
		caughtUp: after != nil,
		catchUp:  catchUp,
		call:     upstream.Call{Method: e.route.RPC, Request: c.Wire, Metadata: c.Metadata},
		ids: sse.NewNumbering(sse.NumberingParams{
			Mode: e.mode, Epoch: epoch, Repeats: e.route.Event.Cursor == config.CursorRepeats, Own: e.ownRPC(), After: after,
		}),
	}
	f.origin.Store(c.visit.source())
	kept := &load{pool: &e.bridge.shedding.pending.requests}
	kept.force(requestSize(c))
	return epoch, topic.Params{
		Source:   f,
		Renderer: f,
		Judge:    e.judge,
		Silent:   func(err error) bool { return errors.Is(err, upstream.ErrSilent) },
		Cursors:  e.cursors(),
		Turns:    e.upstream.catchUps,
		Log: replay.Params{
			Events: e.route.Replay.Events,
			Bytes:  int64(e.route.Replay.Bytes),
			Age:    time.Duration(e.route.Replay.Age),
		},
		Linger: time.Duration(*e.route.Replay.Linger),
		Backoff: topic.Backoff{
			Initial: time.Duration(e.route.Reconnect.Initial),
			Max:     time.Duration(e.route.Reconnect.Max),
		},
		Attempts:  *e.route.Reconnect.Attempts,
		CatchUp:   e.maxCatchUp(),
		Dated:     e.route.Resume != nil && e.route.Resume.MaxAge != 0,
		Ended:     kept.leave,
		Reopen:    e.route.OnComplete == config.OnCompleteReopen,
		StopOnBad: e.route.OnBadMessage == config.OnBadMessageStop,
		NoReturn:  e.mode == sse.None,
		Abandon:   e.mode == sse.None && !e.route.Share,
	}
}

// accepted waits for the moment at which the first bytes may go out: a message
// has come, or open_grace has passed. An error is a refusal that came in time to
// be an HTTP status.
//
// The backend's headers say nothing yet: connect-go sends them before it looks
// at the request, and a refusal may follow them at once.
func (e *endpoint) accepted(ctx context.Context, sub *topic.Subscription, wantsStatus bool) error {
	now := sub.Topic.Status()
	if decided, err := e.decided(now, wantsStatus); decided {
		return err // without a timer, for clients that join a live topic
	}
	grace := time.NewTimer(time.Duration(*e.route.OpenGrace))
	defer grace.Stop()
	for {
		patience := grace.C
		if wantsStatus && !now.Placed {
			patience = nil // until it is known whether there is a stream at all
			grace.Reset(time.Duration(*e.route.OpenGrace))
		}
		select {
		case <-now.Changed():
		case <-patience:
			return nil
		case <-e.present.retired:
			if wantsStatus {
				return errRetired
			}
			return nil // it is asked to come back when it has been sent its first block
		case <-e.bridge.leave.begun:
			if wantsStatus {
				return errLeaving
			}
			return nil // the same
		case <-ctx.Done():
			return ctx.Err()
		}
		now = sub.Topic.Status()
		if decided, err := e.decided(now, wantsStatus); decided {
			return err
		}
	}
}

// decided reports whether a topic's status says how a request is answered: by a
// stream, or by an error.
func (e *endpoint) decided(now *topic.Status, wantsStatus bool) (bool, error) {
	switch {
	case now.Phase == topic.Finished && now.Err != nil && !now.Messages:
		return true, now.Err
	case now.Err != nil && wantsStatus && now.Phase != topic.Finished:
		return true, now.Err
	case e.bridge.leaving.Load():
		return true, nil
	case now.Phase == topic.Live:
		return now.Messages || time.Since(now.Accepted) >= time.Duration(*e.route.OpenGrace), nil
	}
	return now.Phase != topic.Opening, nil
}

func (e *endpoint) policy() delivery.Policy {
	return delivery.Policy{
		WriteTimeout: time.Duration(e.route.WriteTimeout),
		Heartbeat:    time.Duration(*e.route.Heartbeat.Every),
		Comments:     e.route.Heartbeat.As == config.HeartbeatComment,
		MaxAge:       time.Duration(e.route.MaxAge),
		Skip:         e.route.SlowClient == config.SlowClientSkip,
	}
}

// deliver begins an event stream.
func (e *endpoint) deliver(w http.ResponseWriter, r *http.Request, client *delivery.Client) (answer, error) {
	client.Gzip = e.setStreamHead(w.Header(), r)
	if r.ProtoMajor == 1 {
		// The write deadline of a stream must not reach a next request, and a
		// client that is asked to come back should come by a new connection.
		w.Header().Set("Connection", "close")
	}
	if !r.ProtoAtLeast(1, 1) {
		e.bridge.http10.Do(func() {
			e.bridge.logger.Warn("a client or proxy speaks HTTP/1.0, where a cut looks like an end; for nginx write proxy_http_version 1.1",
				"route", e.route.Path)
		})
	}
	if isTimed(w, r) {
		e.bridge.timed.Do(func() {
			e.bridge.logger.Warn("the server's WriteTimeout cuts each stream: a middleware's ResponseWriter has no way to lift it; give it an Unwrap method "+
				"(see http.ResponseController), or the server no WriteTimeout", "route", e.route.Path)
		})
	}
	done, visit := client.Done, visitOf(w).kept()
	visitOf(w).streams(true)
	e.present.stay()
	client.Audience = &e.audience
	client.Counts = e.counts.delivery
	client.Done = func(end delivery.End) {
		defer e.present.leave()
		if done != nil {
			done(end)
		}
		visit.ended(end, client.Sent)
	}
	stream, err := e.bridge.clients.Serve(bare(w), r, client)
	if err != nil {
		visitOf(w).streams(false) // it is refused
		client.Done(delivery.EndGone)
		return nil, e.at(err)
	}
	e.counts.answers.add(http.StatusOK)
	if stream == nil { // it goes on without its request
		return answered, nil
	}
	framed, remote, proxied := r.ProtoMajor >= 2, r.RemoteAddr, forwarded(r)
	return func(ctx context.Context) {
		end := stream.Run(ctx)
		if end != delivery.EndComplete && end != delivery.EndAsked {
			// To return would be to end the response as if all had been said.
			panic(http.ErrAbortHandler)
		}
		if framed && elsewhere(stream.Asked(), proxied) {
			e.bridge.asked.add(remote) // before the response's end, after which the client comes back
		}
	}, nil
}

// isTimed reports whether the embedder's server has a WriteTimeout that cannot be lifted
// for a response.
func isTimed(w http.ResponseWriter, r *http.Request) bool {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	return ok && server.WriteTimeout > 0 &&
		errors.Is(http.NewResponseController(w).SetWriteDeadline(time.Time{}), http.ErrNotSupported)
}

// setStreamHead sets what every event stream begins with, and returns whether
// this one is compressed.
func (e *endpoint) setStreamHead(head http.Header, r *http.Request) (gzip bool) {
	head.Set("Content-Type", "text/event-stream")
	head.Set("Cache-Control", "no-cache, no-store, no-transform")
	head.Set("X-Accel-Buffering", "no")
	if !*e.route.Compress {
		return false
	}
	head.Add("Vary", "Accept-Encoding")
	if gzip = acceptsGzip(r); gzip {
		head.Set("Content-Encoding", "gzip")
	}
	return gzip
}
