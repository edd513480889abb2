package serve

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/admit"
	"github.com/ssebridge/ssebridge/bridge/internal/auth"
	"github.com/ssebridge/ssebridge/bridge/internal/site"
	"github.com/ssebridge/ssebridge/bridge/internal/source"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// joinOf returns the parameters by which a request joins a topic.
func joinOf(e *site.Endpoint, permit *admit.Permit, sources *source.Sources, id sse.ID, c *call, request source.Request, who *auth.Identity) topic.Join {
	epochs := sources.Epochs
	place := placeOf(e, epochs, id)
	place.TooOld = tooOld(e.Route.Resume, place.Cursor)
	return topic.Join{
		Key:       key(e, c, who),
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
		Starts:    source.Starter(request.TraceOrigin),
		Joins:     source.Renewer(request),
		Open: func(after []byte, catchUp bool) (string, topic.Params) {
			return sources.Open(e, request, after, catchUp)
		},
	}
}

// placeOf returns the position that a client's Last-Event-ID denotes.
func placeOf(e *site.Endpoint, epochs *sse.Epochs, id sse.ID) topic.Place {
	place := topic.Place{ID: id.Text, Epoch: id.Epoch, Seq: id.Seq, Cursor: id.Cursor, Base: id.Base, Ordinal: id.Ordinal}
	switch {
	case id.Text == "", id.Cursor != nil:
	case id.Epoch != "":
		place.Forgotten = epochs.Wrote(e.ID, id.Epoch)
	default: // no bridge wrote the id
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

// key is the sharing key: a digest of the endpoint, of every part of a request that the
// backend can distinguish requests by, and of the client's identity.
func key(e *site.Endpoint, c *call, who *auth.Identity) string {
	digest := sha256.New()
	digest.Write(fmt.Appendf(nil, "%d %d ", e.ID, len(c.Wire)))
	digest.Write(c.Wire)
	digest.Write(fmt.Appendf(nil, "%d ", len(c.Identity)))
	digest.Write(c.Identity)
	if who != nil {
		digest.Write(who.Key[:])
	}
	return string(digest.Sum(nil))
}
