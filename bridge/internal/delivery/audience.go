package delivery

import (
	"context"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// Audience is the clients that are dismissed together: those of a route that may
// change or go while others stay. The zero Audience is ready; it must not be
// copied.
type Audience struct {
	why reason.Leave // for which its clients leave, if they do; guarded by Clients.mu
}

func (a *Audience) dismissed() bool { return a != nil && a.why != "" }

// Dismissal is an audience that is to leave, and why: Reload or Removed.
type Dismissal struct {
	Audience *Audience
	Reason   reason.Leave
}

// Dismiss asks the clients of some audiences to leave, spread evenly over grace
// across all of the audiences, and returns when all have been asked or ctx has
// ended. A client that joins one of them from now on is asked at once. Dismiss does
// not wait for the streams to end.
func (c *Clients) Dismiss(ctx context.Context, grace time.Duration, dismissals []Dismissal) error {
	c.mu.Lock()
	reasons := reasonsOf(dismissals)
	for audience, why := range reasons {
		audience.why = why
	}
	var waiting []asking
	for s, audience := range c.streams {
		if why, leaves := reasons[audience]; leaves {
			waiting = append(waiting, asking{s, why})
		}
	}
	c.mu.Unlock()
	return ask(ctx, grace, waiting)
}

// CutDismissed ends the streams of the given audiences at once, without a word.
func (c *Clients) CutDismissed(dismissals []Dismissal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	reasons := reasonsOf(dismissals)
	for s, audience := range c.streams {
		if _, leaves := reasons[audience]; leaves {
			s.cut()
		}
	}
}

func reasonsOf(dismissals []Dismissal) map[*Audience]reason.Leave {
	reasons := make(map[*Audience]reason.Leave, len(dismissals))
	for _, d := range dismissals {
		reasons[d.Audience] = d.Reason
	}
	return reasons
}

// asking is a client that is to be asked to leave.
type asking struct {
	served

	why reason.Leave
}

// ask asks clients to leave, spread evenly over grace.
func ask(ctx context.Context, grace time.Duration, waiting []asking) error {
	began := time.Now()
	for i, s := range waiting {
		if err := pause(ctx, time.Until(began.Add(grace*time.Duration(i)/time.Duration(len(waiting))))); err != nil {
			return err
		}
		s.tell(s.why)
	}
	return nil
}
