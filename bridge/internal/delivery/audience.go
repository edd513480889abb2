package delivery

import (
	"context"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/internal/pause"
)

// Audience is a set of clients that can be dismissed together, such as the clients of one route. The
// zero Audience is ready to use; it must not be copied.
type Audience struct {
	why reason.Leave // not empty once the audience is dismissed; guarded by Clients.mu
}

func (a *Audience) dismissed() bool { return a != nil && a.why != "" }

// Dismissal names an audience that must leave, and why: reason.LeaveReload or reason.LeaveRemoved.
type Dismissal struct {
	Audience *Audience
	Reason   reason.Leave
}

// Dismiss asks the clients of the given audiences to leave, one after another, evenly spread over grace.
// Clients of different audiences are asked in mixed order. Dismiss returns when all have been asked or
// ctx has ended, and does not wait for the streams to end. A client that later joins one of the audiences
// is asked at once.
func (c *Clients) Dismiss(ctx context.Context, grace time.Duration, dismissals []Dismissal) error {
	c.mu.Lock()
	reasons := reasonsOf(dismissals)
	for audience, why := range reasons {
		audience.why = why
	}
	var waiting []leaveRequest
	for s, audience := range c.streams {
		if why, leaves := reasons[audience]; leaves {
			waiting = append(waiting, leaveRequest{s, why})
		}
	}
	c.mu.Unlock()
	return askAll(ctx, grace, waiting)
}

// CutDismissed ends the streams of the given audiences at once, without a last block.
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

// leaveRequest is a client that will be asked to leave.
type leaveRequest struct {
	served

	why reason.Leave
}

// askAll asks clients to leave, one after another, evenly spread over grace.
func askAll(ctx context.Context, grace time.Duration, waiting []leaveRequest) error {
	began := time.Now()
	for i, s := range waiting {
		if err := pause.For(ctx, time.Until(began.Add(grace*time.Duration(i)/time.Duration(len(waiting))))); err != nil {
			return err
		}
		s.askToLeave(s.why)
	}
	return nil
}
