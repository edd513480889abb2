package serve

import (
	"context"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/site"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// acceptance decides when the answer of a stream begins, and whether it is a status instead.
type acceptance struct {
	endpoint    *site.Endpoint
	leaving     *Leaving
	wantsStatus bool // the client prefers a status to an in-band report of a transient failure
}

// wait blocks until the first bytes may be sent: a message has arrived, or open_grace has
// passed. An error is a failure that arrived early enough to be an HTTP status.
//
// The backend's headers do not end the wait: connect-go sends them before it handles the
// request, and a refusal may follow at once.
func (a acceptance) wait(ctx context.Context, sub *topic.Subscription) error {
	e, wantsStatus := a.endpoint, a.wantsStatus
	now := sub.Topic.Status()
	if decided, err := a.decided(now); decided {
		return err // fast path of clients that join a live topic: no timer
	}
	grace := time.NewTimer(time.Duration(*e.Route.OpenGrace))
	defer grace.Stop()
	for {
		patience := grace.C
		if wantsStatus && !now.Placed {
			patience = nil // wait until the RPC has a place
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
			return nil // the client is asked to reconnect after its first block
		case <-a.leaving.Beginning():
			if wantsStatus {
				return site.ErrLeaving
			}
			return nil // as above
		case <-ctx.Done():
			return ctx.Err()
		}
		now = sub.Topic.Status()
		if decided, err := a.decided(now); decided {
			return err
		}
	}
}

// decided reports whether a topic's status decides the answer: a stream, or the error.
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
