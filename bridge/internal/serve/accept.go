package serve

import (
	"context"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/site"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// acceptance decides when a stream begins, and whether a status is the answer instead.
type acceptance struct {
	endpoint    *site.Endpoint
	leaving     *Leaving
	wantsStatus bool // the client prefers a status to being told of a transient failure in band
}

// wait waits for the moment at which the first bytes may go out: a message
// has come, or open_grace has passed. An error is a refusal that came in time to
// be an HTTP status.
//
// The backend's headers say nothing yet: connect-go sends them before it looks
// at the request, and a refusal may follow them at once.
func (a acceptance) wait(ctx context.Context, sub *topic.Subscription) error {
	e, wantsStatus := a.endpoint, a.wantsStatus
	now := sub.Topic.Status()
	if decided, err := a.decided(now); decided {
		return err // without a timer, for clients that join a live topic
	}
	grace := time.NewTimer(time.Duration(*e.Route.OpenGrace))
	defer grace.Stop()
	for {
		patience := grace.C
		if wantsStatus && !now.Placed {
			patience = nil // until it is known whether there is a stream at all
			grace.Reset(time.Duration(*e.Route.OpenGrace))
		}
		select {
		case <-now.Changed():
		case <-patience:
			return nil
		case <-e.Presence.Retired():
			if wantsStatus {
				return site.ErrRetired
			}
			return nil // it is asked to come back when it has been sent its first block
		case <-a.leaving.Beginning():
			if wantsStatus {
				return site.ErrLeaving
			}
			return nil // the same
		case <-ctx.Done():
			return ctx.Err()
		}
		now = sub.Topic.Status()
		if decided, err := a.decided(now); decided {
			return err
		}
	}
}

// decided reports whether a topic's status says how a request is answered: by a
// stream, or by an error.
func (a acceptance) decided(now *topic.Status) (bool, error) {
	switch {
	case now.Phase == topic.Finished && now.Err != nil && !now.Messages:
		return true, now.Err
	case now.Err != nil && a.wantsStatus && now.Phase != topic.Finished:
		return true, now.Err
	case a.leaving.Begun():
		return true, nil
	case now.Phase == topic.Live:
		return now.Messages || time.Since(now.Accepted) >= time.Duration(*a.endpoint.Route.OpenGrace), nil
	}
	return now.Phase != topic.Opening, nil
}
