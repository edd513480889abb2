package serve

import (
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/site"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// accepted waits for the moment at which the first bytes may go out: a message
// has come, or open_grace has passed. An error is a refusal that came in time to
// be an HTTP status.
//
// The backend's headers say nothing yet: connect-go sends them before it looks
// at the request, and a refusal may follow them at once.
func (x *exchange) accepted(sub *topic.Subscription) error {
	e, ctx, wantsStatus := x.endpoint, x.r.Context(), wantsStatus(x.r)
	now := sub.Topic.Status()
	if decided, err := x.decided(now, wantsStatus); decided {
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
		case <-x.handler.Leaving.Beginning():
			if wantsStatus {
				return site.ErrLeaving
			}
			return nil // the same
		case <-ctx.Done():
			return ctx.Err()
		}
		now = sub.Topic.Status()
		if decided, err := x.decided(now, wantsStatus); decided {
			return err
		}
	}
}

// decided reports whether a topic's status says how a request is answered: by a
// stream, or by an error.
func (x *exchange) decided(now *topic.Status, wantsStatus bool) (bool, error) {
	switch {
	case now.Phase == topic.Finished && now.Err != nil && !now.Messages:
		return true, now.Err
	case now.Err != nil && wantsStatus && now.Phase != topic.Finished:
		return true, now.Err
	case x.handler.Leaving.Begun():
		return true, nil
	case now.Phase == topic.Live:
		return now.Messages || time.Since(now.Accepted) >= time.Duration(*x.endpoint.Route.OpenGrace), nil
	}
	return now.Phase != topic.Opening, nil
}
