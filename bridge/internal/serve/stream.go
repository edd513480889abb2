package serve

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/admit"
	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/bridge/internal/observe"
	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/site"
	"github.com/ssebridge/ssebridge/bridge/internal/source"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// stream serves a server-streaming method as an event stream.
func (x *exchange) stream(c *call) (answer, error) {
	switch {
	case x.id.Final: // not a GET, which was answered 204
		return x.sayEnd()
	case x.handler.Leaving.Begun():
		return x.askToReconnect(sse.Retry{Reason: reason.LeaveDrain})
	case !x.permit.HasStreamSlot(): // by the schema when it came the method was unary
		return x.askToReconnect(sse.Retry{Reason: reason.LeaveReload})
	}
	if x.handler.reconnects.take(x.r) {
		closeConnection(x.w)
		if x.id.Text != "" { // else it may be another stream of the connection
			return x.askToReconnect(sse.Retry{Reason: reason.LeaveMaxAge})
		}
	}
	if err := x.r.Context().Err(); err != nil {
		x.permit.GaveUp(false)
		return nil, err // nothing is opened for a client that has gone
	}
	request := source.Request{Wire: c.Wire, Metadata: c.Metadata, Origin: x.record.Kept().Origin()}
	if x.endpoint.Route.Resume != nil { // the client may move to another topic later, and needs the request to open that
		if err := x.permit.Keep(request.Size()); err != nil {
			return x.shed(err)
		}
	}
	sub, err := x.handler.Topics.Join(x.join(c, request))
	err = asFull(err)
	switch {
	case admit.IsFull(err):
		return x.shed(err)
	case err != nil: // closed
		return x.askToReconnect(sse.Retry{Reason: reason.LeaveDrain})
	}
	if err := x.accepted(sub); err != nil {
		sub.Leave()
		if x.r.Context().Err() != nil {
			x.permit.GaveUp(true)
		}
		if errors.Is(err, site.ErrLeaving) {
			return x.askToReconnect(sse.Retry{Reason: reason.LeaveDrain})
		}
		return nil, err
	}
	sub.Opened()
	return x.follow(sub)
}

// follow sends the client its topic's log.
func (x *exchange) follow(sub *topic.Subscription) (answer, error) {
	counts, record := x.endpoint.Counts, x.record.Kept()
	counts.Joined(sub)
	stream := &clientStream{handler: x.handler, endpoint: x.endpoint, sub: sub, record: record}
	if record != nil {
		record.StreamBegins(observe.StartOf(sub), x.id.Text, source.RPCsOf(sub))
	}
	client := &delivery.Client{
		Source:   stream,
		Follower: stream,
		Blocks:   stream,
		First:    stream.first(x.id),
		Position: sub.Position,
	}
	sub.SetCut(func() {
		counts.Shed(admit.LimitReplayBytes)
		client.Cut()
	})
	return x.deliver(client, stream)
}

// join says which topic a request listens to.
func (x *exchange) join(c *call, request source.Request) topic.Join {
	e, permit, sources, epochs := x.endpoint, x.permit, x.handler.Sources, x.handler.Sources.Epochs
	place := placeOf(e, epochs, x.id)
	place.TooOld = tooOld(e.Route.Resume, place.Cursor)
	return topic.Join{
		Key:       key(e, c),
		Owner:     &e.Owner,
		Private:   !e.Route.Share,
		Held:      e.Route.Join == config.JoinHeld,
		Own:       e.OwnRPC(),
		Resumable: e.Route.Resume != nil,
		Ordered:   e.Route.Resume != nil && *e.Route.Resume.Ordered,
		Place:     place,
		MaxEvents: e.MaxCatchUp(),
		From:      permit.Addr(),
		Parse:     func(id string) topic.Place { return placeOf(e, epochs, sse.ParseID(e.Mode, id)) },
		Admit:     func() error { return permit.MayOpen(request.Size()) },
		Starts:    source.Starter(request.Origin),
		Open: func(after []byte, catchUp bool) (string, topic.Params) {
			return sources.Open(e, request, after, catchUp)
		},
	}
}

// placeOf returns where a client says that it stands.
func placeOf(e *site.Endpoint, epochs *sse.Epochs, id sse.ID) topic.Place {
	place := topic.Place{ID: id.Text, Epoch: id.Epoch, Seq: id.Seq, Cursor: id.Cursor, Base: id.Base, Ordinal: id.Ordinal}
	switch {
	case id.Text == "", id.Cursor != nil:
	case id.Epoch != "":
		place.Forgotten = epochs.Wrote(e.ID, id.Epoch)
	default: // no bridge wrote it
		place.Epoch, place.Forgotten = id.Text, true // matches no log
	}
	return place
}

// tooOld reports whether a cursor is older than resume.max_age.
func tooOld(resume *config.Resume, cursor []byte) bool {
	if resume == nil || resume.MaxAge == 0 || cursor == nil {
		return false
	}
	at, err := time.Parse(time.RFC3339Nano, string(cursor))
	return err == nil && time.Since(at) > time.Duration(resume.MaxAge)
}

// key is the digest of all by which a backend could tell two requests apart, and
// of the route as it is configured now.
func key(e *site.Endpoint, c *call) string {
	digest := sha256.New()
	digest.Write(fmt.Appendf(nil, "%d %d ", e.ID, len(c.Wire)))
	digest.Write(c.Wire)
	digest.Write(c.Identity)
	return string(digest.Sum(nil))
}
