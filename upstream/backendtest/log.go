package backendtest

import (
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// Log is a scripted source of events: a test appends, and every Watch sends. It keeps the cursor
// promise: the same cursor gives the same continuation, or an error.
type Log struct {
	mu      sync.Mutex
	grew    chan struct{} // closed and replaced at each change
	events  []*testv1.FeedEvent
	first   int // index of events[0] over all events, after Trim
	lastSeq int64
	end     *ending
}

type ending struct{ err error }

func newLog() *Log { return &Log{grew: make(chan struct{})} }

// Publish appends events. An event with a seq of 0 gets the next one. The log owns the events from
// then on.
func (l *Log) Publish(events ...*testv1.FeedEvent) {
	l.change(func() {
		for _, event := range events {
			if event.GetSeq() == 0 {
				event.Seq = l.lastSeq + 1
			}
			l.lastSeq = event.GetSeq()
			l.events = append(l.events, event)
		}
	})
}

// End ends all Watch RPCs, running and future, with err (nil is OK) after they have sent all
// events. Publish and Reopen do not affect events that were already sent.
func (l *Log) End(err error) { l.change(func() { l.end = &ending{err} }) }

// Reopen reverts End for future RPCs.
func (l *Log) Reopen() { l.change(func() { l.end = nil }) }

// Trim removes all but the newest n events. A request for earlier history fails with OUT_OF_RANGE.
func (l *Log) Trim(n int) {
	l.change(func() {
		if drop := len(l.events) - n; drop > 0 {
			l.events = l.events[drop:]
			l.first += drop
		}
	})
}

func (l *Log) change(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn()
	close(l.grew)
	l.grew = make(chan struct{})
}

// position returns the index at which a request starts, over all events; -1 if the requested
// history was trimmed. `after` selects the events behind it, with or without `history`; `history`
// alone selects all events that the log has.
func (l *Log) position(req *testv1.WatchRequest) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case req.GetAfter() > 0:
		for i, event := range l.events {
			if event.GetSeq() > req.GetAfter() {
				if i == 0 && l.first > 0 && event.GetSeq() > req.GetAfter()+1 {
					return -1
				}
				return l.first + i
			}
		}
		return l.first + len(l.events)
	case req.GetHistory():
		return l.first
	default:
		return l.first + len(l.events)
	}
}

// send is the default handler of Watch.
func (l *Log) send(req *testv1.WatchRequest, at int, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	if at < 0 {
		return refused(codes.OutOfRange, "the events after that seq are gone")
	}
	for sent := int32(0); req.Limit == nil || sent < req.GetLimit(); {
		event, end, grew, err := l.at(at)
		switch {
		case err != nil:
			return err
		case event != nil:
			if err := stream.Send(event); err != nil {
				return err
			}
			at++
			sent++
		case end != nil:
			return end.err
		default:
			select {
			case <-grew:
			case <-stream.Context().Done():
				return canceled(stream.Context())
			}
		}
	}
	return nil
}

func (l *Log) at(index int) (*testv1.FeedEvent, *ending, <-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if index < l.first {
		return nil, nil, nil, refused(codes.DataLoss, "events were trimmed under a running stream")
	}
	if i := index - l.first; i < len(l.events) {
		return l.events[i], nil, nil, nil
	}
	return nil, l.end, l.grew, nil
}

// ended reports whether the other side has sent its last message.
func ended(err error) bool { return errors.Is(err, io.EOF) }
