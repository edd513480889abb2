package bridge_test

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/ssebridge/ssebridge/bridge"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// ledger is a backend that keeps the promise of cursors: event n has the seq n, and n in each kind
// of cursor. An RPC begins after the cursor in its request, in any of the cursor fields. Without
// one it begins with the history, if the request asks for it, else with the next event.
type ledger struct {
	// Set before the first request.
	origin  origin
	inBand  bool       // a message says that a cursor is too old
	refusal codes.Code // the code that says so otherwise; OK means OUT_OF_RANGE
	// snapshot is the number of events in a history, the newest ones; 0 means all that are stored.
	snapshot int64

	changing

	newest   int64
	trimmed  int64 // the seq of the last removed event
	down     error // the error of all RPCs, including running ones
	requests []*testv1.WatchRequest
	times    []time.Time
	running  int
	most     int // the highest number of running RPCs
}

// origin is the first event of an RPC at a cursor.
type origin int

const (
	afterCursor origin = iota // the event after the cursor's
	atCursor                  // the cursor's own event: it is sent again, or clients send the cursor plus one
)

var errTooOld = errors.New("the cursor is too old")

func newLedger() *ledger { return &ledger{changing: newChanging()} }

// publish adds events and waits until they are delivered.
func (l *ledger) publish(n int64) {
	for range n {
		l.change(func() { l.newest++ })
		synctest.Wait()
	}
}

// trim removes the events up to one.
func (l *ledger) trim(last int64) { l.change(func() { l.trimmed = last }) }

// fails ends all RPCs, and later ones, until it is called with nil.
func (l *ledger) fails(err error) { l.change(func() { l.down = err }) }

// opened returns the requests so far.
func (l *ledger) opened() []*testv1.WatchRequest {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*testv1.WatchRequest(nil), l.requests...)
}

// now returns how many RPCs run, and the highest number so far.
func (l *ledger) now() (running, most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.running, l.most
}

// event returns event n.
func (l *ledger) event(n int64) *testv1.FeedEvent {
	return &testv1.FeedEvent{
		Seq: n, Cursor: "~" + strconv.FormatInt(n, 10) + "%", Token: []byte{0xff, byte(n >> 8), byte(n)},
		At: &timestamppb.Timestamp{Seconds: n, Nanos: 5000},
	}
}

// after returns the cursor of a request as a number, 0 if it has none.
func after(request *testv1.WatchRequest) int64 {
	kinds := request.GetKinds()
	switch {
	case request.GetAfter() != 0:
		return request.GetAfter()
	case kinds.GetStringValue() != "":
		n, _ := strconv.ParseInt(strings.Trim(kinds.GetStringValue(), "~%"), 10, 64)
		return n
	case len(kinds.GetBytesValue()) == 3:
		return int64(kinds.GetBytesValue()[1])<<8 | int64(kinds.GetBytesValue()[2])
	}
	return kinds.GetTimestamp().GetSeconds()
}

// begin adds an RPC and returns the number of its first event.
func (l *ledger) begin(request *testv1.WatchRequest) (next int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests, l.times = append(l.requests, request), append(l.times, time.Now())
	if l.down != nil {
		return 0, l.down
	}
	at := after(request)
	switch {
	case at == 0 && request.GetHistory():
		first := l.trimmed + 1
		if l.snapshot > 0 {
			first = max(first, l.newest-l.snapshot+1)
		}
		return first, nil
	case at == 0:
		return l.newest + 1, nil
	case l.origin == afterCursor:
		at++
	}
	if at <= l.trimmed || at > l.newest+1 {
		return 0, errTooOld
	}
	return at, nil
}

func (l *ledger) watch(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	next, err := l.begin(request)
	switch {
	case errors.Is(err, errTooOld) && l.inBand:
		return stream.Send(&testv1.FeedEvent{Body: &testv1.FeedEvent_Error{Error: "too old"}})
	case errors.Is(err, errTooOld):
		return status.Error(cmp.Or(l.refusal, codes.OutOfRange), "the cursor is too old")
	case err != nil:
		return err
	}
	l.change(func() { l.running++; l.most = max(l.most, l.running) })
	defer l.change(func() { l.running-- })
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	for {
		l.mu.Lock()
		newest, down, changed := l.newest, l.down, l.changed
		l.mu.Unlock()
		if down != nil {
			return down
		}
		if next <= newest {
			if err := stream.Send(l.event(next)); err != nil {
				return err
			}
			next++
			continue
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// sites are bridges of one configuration in front of one backend, and a balancer that the test controls.
type sites struct {
	w   *world
	all []*bridge.Bridge
	web []*http.Transport
	to  atomic.Int32
}

// behind replaces the world's bridge by n others.
func (w *world) behind(n int) *sites {
	w.Helper()
	s := &sites{w: w}
	for range n {
		s.all, s.web = append(s.all, nil), append(s.web, nil)
		s.start(len(s.all) - 1)
	}
	return s
}

// start runs a new bridge.
func (s *sites) start(i int) {
	s.w.Helper()
	front := listenInMemory()
	s.all[i] = s.w.open(front)
	s.web[i] = (&world{TB: s.w.TB, front: front}).transport(false)
	s.w.Cleanup(s.web[i].CloseIdleConnections)
}

// restart closes a bridge, and runs another one in its place.
func (s *sites) restart(i int) {
	s.w.Helper()
	if err := s.all[i].Close(); err != nil {
		s.w.Error(err)
	}
	synctest.Wait()
	s.start(i)
}

// RoundTrip sends the request to the bridge that the test has chosen.
func (s *sites) RoundTrip(r *http.Request) (*http.Response, error) {
	return s.web[s.to.Load()].RoundTrip(r)
}
