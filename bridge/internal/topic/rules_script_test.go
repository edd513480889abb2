package topic_test

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// script is a schedule that a test plays by hand, step after step. The clients are checked as in a random one, and
// against the expectations of the test.
type script struct {
	*schedule

	t *testing.T
}

// inScript plays on one route, with a log of 100 frames and an exclusive cursor unless the test says otherwise.
func inScript(t *testing.T, route func(s *schedule), play func(s *script)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &schedule{
			t: t, calm: true, feeds: map[string]*feed{}, log: replay.Params{Events: 100, Bytes: 1 << 20},
			mode: sse.Cursors, resumable: true, rules: topic.Cursors{Expired: gone},
			bridges: []*topic.Registry{newBridge(), newBridge()},
		}
		route(s)
		defer s.close()
		play(&script{s, t})
	})
}

// says publishes messages, a word each: its cursor, "-" for none, "k" for one that is not kept.
func (s *script) says(words string) {
	for word := range strings.FieldsSeq(words) {
		switch word {
		case "-":
			s.add(message{})
		case "k":
			s.add(message{passing: true})
		default:
			s.add(message{cursor: word})
		}
	}
}

// sends publishes messages and lets every RPC deliver what it can.
func (s *script) sends(words string) {
	s.says(words)
	s.flows()
}

// flows lets every RPC deliver what it can.
func (s *script) flows() {
	for moved := true; moved; {
		moved = false
		synctest.Wait()
		for _, c := range s.running() {
			moved = c.deliver() || moved
			synctest.Wait()
		}
	}
}

// delivers lets one RPC deliver messages, and returns how many its pump took.
func (s *script) delivers(rpc string, n int) (taken int) {
	s.t.Helper()
	synctest.Wait()
	c := s.rpc(rpc)
	for taken < n && c.deliver() {
		taken++
		synctest.Wait()
	}
	return taken
}

// rpc returns the newest RPC that runs and was opened at a cursor, "-" for none.
func (s *script) rpc(cursor string) *call {
	s.t.Helper()
	for _, c := range slices.Backward(s.running()) {
		if c.name() == cursor {
			return c
		}
	}
	s.t.Fatalf("no RPC runs that was opened at %s", cursor)
	return nil
}

// of returns the RPC of the topic with an index.
func (s *script) of(topic int) *call {
	s.t.Helper()
	for _, c := range s.running() {
		if c.feed.epoch == s.epochs[topic] {
			return c
		}
	}
	s.t.Fatalf("%s has no RPC", nick(topic))
	return nil
}

// name is what the scripts call an RPC: its cursor, "-" for none.
func (c *call) name() string { return cmp.Or(c.cursor, "-") }

// runs wants just those RPCs to run.
func (s *script) runs(want ...string) {
	s.t.Helper()
	synctest.Wait()
	run := []string{}
	for _, c := range s.running() {
		run = append(run, c.name())
	}
	slices.Sort(run)
	slices.Sort(want)
	if !slices.Equal(run, want) {
		s.t.Fatalf("the RPCs %v run, want %v", run, want)
	}
}

// breaks ends an RPC.
func (s *script) breaks(rpc string, err error) {
	s.t.Helper()
	s.rpc(rpc).fail(err)
	synctest.Wait()
}

// forgets lets the backend forget its messages before one.
func (s *script) forgets(before int) {
	s.forget(before)
}

// pause is longer than any wait between two attempts at the backend.
func (s *script) pause() {
	time.Sleep(2 * time.Second)
	synctest.Wait()
}

// comes brings a client with an id, "" for none; ~e1-2 means the log of the first topic.
func (s *script) comes(bridge int, id string) *browser {
	s.t.Helper()
	for i, epoch := range s.epochs {
		id = strings.Replace(id, "~"+nick(i)+"-", "~"+epoch+"-", 1)
	}
	b := &browser{schedule: s.schedule, name: len(s.clients), lastID: id, next: -1}
	s.clients = append(s.clients, b)
	b.connect(s.bridges[bridge])
	synctest.Wait()
	return b
}

// returns brings a client back that was cut.
func (s *script) returns(b *browser, bridge int) {
	s.t.Helper()
	b.connect(s.bridges[bridge])
	synctest.Wait()
}

// hears reads all there is for a client and compares what it was told since the last time.
func (s *script) hears(b *browser, want string) {
	s.t.Helper()
	synctest.Wait()
	b.read(1000)
	s.heard(b, want)
}

// settles lets everything flow until it has come to rest, also into logs that are new, and compares what a client was told
// since the last time.
func (s *script) settles(b *browser, want string) {
	s.t.Helper()
	for range 5 {
		s.flows()
		b.read(1000)
	}
	s.heard(b, want)
}

// finalSum is a final id's checksum and mark.
var finalSum = regexp.MustCompile(`~[A-Z2-7]{3}~end`)

// heard compares what a client was told since the last time.
func (s *script) heard(b *browser, want string) {
	s.t.Helper()
	got := finalSum.ReplaceAllString(strings.Join(b.heard, " "), "~end")
	for i, epoch := range s.epochs {
		got = strings.ReplaceAll(got, epoch, nick(i))
	}
	if got != want {
		s.t.Fatalf("client %d heard\n  %s\nwant\n  %s", b.name, got, want)
	}
	b.heard = nil
	synctest.Wait()
}

// nick is what the scripts call the log of the topic with an index.
func nick(i int) string { return "e" + string(rune('1'+i)) }

// expectNext says which message a client is to get next where the one between is not kept.
func (s *script) expectNext(b *browser, next int) { b.next = next }
