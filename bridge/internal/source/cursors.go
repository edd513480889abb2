package source

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/bridge/internal/route"
	"github.com/ssebridge/ssebridge/bridge/internal/site"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/upstream"
)

// errNoCursor says that an id cannot be a value of the request's cursor field. A client has
// forged it, and no RPC is needed to refuse it.
var errNoCursor = errors.New("the id is no cursor of this route")

// cursors returns the rules by which the route's RPCs are opened at a cursor, nil if the route
// has no resume.
func cursors(e *site.Endpoint) *topic.Cursors {
	resume := e.Route.Resume
	if resume == nil {
		return nil
	}
	rules := &topic.Cursors{
		Inclusive: resume.Inclusive,
		Repeats:   e.Route.Event.Cursor == config.CursorRepeats,
		Repeating: e.RepeatsCursors.Load,
		Expired: func(err error) bool {
			endedHere := errors.Is(err, upstream.ErrMoved) || errors.Is(err, upstream.ErrIdle)
			return errors.Is(err, errNoCursor) || !endedHere && slices.Contains(resume.Expired.Codes, failure.CodeName(status.Code(err)))
		},
	}
	if b := e.Bound(); b != nil && b.Resume != nil {
		switch b.Resume.Kind() {
		case route.CursorInteger:
			rules.NotAfter = integerNotAfter
		case route.CursorTimestamp:
			rules.NotAfter = timestampNotAfter
		case route.CursorString, route.CursorBytes: // these have no order
		}
	}
	return rules
}

// integerNotAfter compares cursors that are decimal integers.
func integerNotAfter(cursor, other []byte) bool {
	if a, err := strconv.ParseInt(string(cursor), 10, 64); err == nil {
		b, err := strconv.ParseInt(string(other), 10, 64)
		return err == nil && a <= b
	}
	a, errA := strconv.ParseUint(string(cursor), 10, 64)
	b, errB := strconv.ParseUint(string(other), 10, 64)
	return errA == nil && errB == nil && a <= b
}

// timestampNotAfter compares cursors that are timestamps in the form of JSON.
func timestampNotAfter(cursor, other []byte) bool {
	a, errA := time.Parse(time.RFC3339Nano, string(cursor))
	b, errB := time.Parse(time.RFC3339Nano, string(other))
	return errA == nil && errB == nil && !a.After(b)
}

// judgeFor returns how a source's topic reacts to an RPC's error. Credentials that the backend does not
// accept any more are a transient failure while a client has newer ones.
func judgeFor(s *source, err error) topic.Verdict {
	if failure.StatusOf(err).Code() == codes.Unauthenticated {
		if _, _, newer := s.renewed.after(s.expires); newer {
			return topic.Hold
		}
	}
	return judge(s.endpoint.Route.Reconnect.Codes, err)
}

// judge returns how a topic reacts to an RPC's error.
func judge(reconnect []string, err error) topic.Verdict {
	if errors.Is(err, upstream.ErrMoved) || errors.Is(err, upstream.ErrIdle) {
		return topic.Again
	}
	if errors.Is(err, upstream.ErrMessageTooLarge) || errors.Is(err, upstream.ErrHeadersTooLarge) {
		return topic.Fatal // each further RPC would receive it again
	}
	code := failure.StatusOf(err).Code()
	if slices.Contains(reconnect, failure.CodeName(code)) {
		return topic.Hold
	}
	switch code {
	case codes.Unavailable, codes.ResourceExhausted, codes.Aborted, codes.DeadlineExceeded, codes.Canceled:
		return topic.Retry
	case codes.Internal, codes.Unknown, codes.DataLoss:
		return topic.Flaky
	default:
		return topic.Fatal
	}
}
