package bridge_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// foreignFor is the time for which an intermediary answers instead of the backend.
const foreignFor = 3 * time.Second

// defaultRoutes use the defaults of all reconnect keys.
const defaultRoutes = `routes:
  - {path: /own, rpc: ssebridge.test.v1.FeedService/Watch, upstream: app}
  - {path: /shared, rpc: ssebridge.test.v1.FeedService/Watch, upstream: app, share: true}
  - {path: /cursor, rpc: ssebridge.test.v1.FeedService/Watch, upstream: app, event: {id: seq}, resume: {field: after}, request: {set: {history: true}}}
  - {path: /get, rpc: ssebridge.test.v1.FeedService/Get, upstream: app}
`

// With the default settings, an intermediary sends each kind of foreign answer for three seconds
// while all RPCs are lost and pages connect. A page reconnects as an EventSource does: after the
// time that it was given, and never after a status other than 200.
func TestThreeSecondsOfForeignAnswersStopNoPage(t *testing.T) {
	var stages []*foreignStage
	for i, foreign := range backendtest.ForeignAnswers() {
		var authority *backendtest.Authority
		if i%2 == 1 { // TestAForeignAnswerEndsNoStream has all answers over both transports
			authority = backendtest.NewAuthority(t)
		}
		stages = append(stages, newForeignStage(t, foreign, authority))
	}
	for _, s := range stages {
		s.begin(t)
	}
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	began := time.Now()
	for newcomers := began; time.Since(began) < foreignFor; <-look.C {
		for _, s := range stages {
			s.follow(t)
		}
		if time.Since(newcomers) > foreignFor/4 {
			newcomers = time.Now()
			for _, s := range stages {
				s.come(t)
			}
		}
	}
	for _, s := range stages {
		s.pass(t)
	}
	for done := 0; done < len(stages); <-look.C {
		done = 0
		for _, s := range stages {
			s.follow(t)
			if s.over() {
				done++
			}
		}
		if time.Since(began) > foreignFor+time.Minute {
			for _, s := range stages {
				if !s.over() {
					t.Errorf("%s: %s", s.name, s.late())
				}
			}
			t.Fatalf("%d of %d stages are up to date", done, len(stages))
		}
	}
	for _, s := range stages {
		s.check(t)
	}
}

// foreignStage is a backend behind an intermediary, a bridge, and its pages.
type foreignStage struct {
	name    string
	foreign backendtest.ForeignAnswer
	back    *backendtest.Backend
	between *backendtest.Intermediary
	gateway *gateway
	pages   []*foreignPage
	said    time.Time // when the newest event was published
}

// foreignPage is an EventSource.
type foreignPage struct {
	*ssetest.Client

	path    string
	stopped bool      // a status has stopped it forever
	current bool      // it has an event that was published after the foreign answers
	back    time.Time // when it reconnects; zero while it is connected
}

func newForeignStage(t *testing.T, foreign backendtest.ForeignAnswer, authority *backendtest.Authority) *foreignStage {
	t.Helper()
	s := &foreignStage{name: foreign.Name, foreign: foreign, back: backend(t)}
	tls := ""
	if authority != nil {
		s.name += " over TLS"
		tls = ", tls: {ca: '" + authority.CAFile + "'}"
	}
	s.between = backendtest.StartIntermediary(t, s.back, authority)
	s.gateway = startWith(t, parse(t, "drain: {delay: 0s, grace: 0s}\nupstreams: {app: {target: '"+s.between.Addr()+"'"+tls+"}}\n"+defaultRoutes), bridge.Options{})
	return s
}

// begin connects pages, and then loses all RPCs to the foreign answers.
func (s *foreignStage) begin(t *testing.T) {
	t.Helper()
	s.come(t)
	s.back.AwaitRunning(len(s.pages))
	s.back.Feed.Publish(&testv1.FeedEvent{Kind: "before"})
	for _, p := range s.pages {
		p.AwaitMessages(1)
	}
	s.between.Answer(s.foreign.Answer)
	s.back.Feed.End(status.Error(codes.Unavailable, "restarting"))
	s.back.AwaitRunning(0)
	s.back.Feed.Reopen()
	s.back.Feed.Publish(&testv1.FeedEvent{Kind: "meanwhile"})
}

// come connects a page to each stream.
func (s *foreignStage) come(t *testing.T) {
	t.Helper()
	for _, path := range []string{"/own", "/shared", "/cursor"} {
		s.pages = append(s.pages, &foreignPage{Client: ssetest.Connect(t, s.gateway.URL+path, ssetest.Options{}), path: path})
	}
}

// follow does for the pages what an EventSource does when its connection ends.
func (s *foreignStage) follow(t *testing.T) {
	t.Helper()
	for _, p := range s.pages {
		seen := p.Snapshot()
		switch {
		case p.stopped:
		case seen.Status != 0 && seen.Status != http.StatusOK:
			p.stopped = true
			t.Errorf("%s: a page at %s is stopped: %s", s.name, p.path, seen)
		case seen.Ended == nil:
		case p.back.IsZero():
			retry := seen.Retry
			if retry == 0 {
				retry = 3 * time.Second // the default of browsers
			}
			p.back = time.Now().Add(retry)
		case time.Now().After(p.back):
			p.back = time.Time{}
			p.Reconnect()
		}
	}
}

// pass makes the intermediary forward everything again, after a check of a unary call's answer.
func (s *foreignStage) pass(t *testing.T) {
	t.Helper()
	checkIncident(t, s.gateway, do(t, http.MethodGet, s.gateway.URL+"/get", ""))
	s.between.Answer(nil)
}

// over reports whether all pages of the stage have an event that was published after the foreign answers.
func (s *foreignStage) over() bool {
	if time.Since(s.said) > 500*time.Millisecond { // a stream without a cursor has what is published while its RPC runs
		s.said = time.Now()
		s.back.Feed.Publish(&testv1.FeedEvent{Kind: "after"})
	}
	for _, p := range s.pages {
		p.current = p.current || slices.ContainsFunc(p.Snapshot().Events, func(e ssetest.Event) bool { return strings.Contains(e.Data, `"kind":"after"`) })
		if !p.current && !p.stopped {
			return false
		}
	}
	return true
}

// late describes the first page that is not up to date.
func (s *foreignStage) late() string {
	for _, p := range s.pages {
		if !p.current {
			return p.path + ": " + p.Snapshot().String()
		}
	}
	return "all are up to date by now"
}

// check checks all that the pages were sent.
func (s *foreignStage) check(t *testing.T) {
	t.Helper()
	for _, p := range s.pages {
		seen := p.Snapshot()
		checkNoForeignWord(t, transcript(seen))
		if p.path != "/cursor" {
			continue
		}
		for i, m := range seen.Messages() { // from the first event on, each event once
			if got := seqOf.FindStringSubmatch(m.Data); got == nil || got[1] != strconv.Itoa(i+1) {
				t.Errorf("%s: a page with a cursor was sent %s as event %d", s.name, m.Data, i+1)
				break
			}
		}
	}
	if got := do(t, http.MethodGet, s.gateway.URL+"/get", ""); got.Status != http.StatusOK {
		t.Errorf("%s: a unary call is answered %d", s.name, got.Status)
	}
}
