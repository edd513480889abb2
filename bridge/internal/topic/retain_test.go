package topic

import (
	"strconv"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// A frame costs each reader of a log that is held the same, however many readers there are: a thousand pages that come back at once
// read the log of the one that came first, and a peer may open a thousand connections at its own log.
func TestAReaderOfAHeldLogCostsTheSameBesideMany(t *testing.T) {
	const few, times = 400, 10
	for _, role := range []role{mainRole, privateRole, catchUpRole} {
		some, many := heldLogCost(t, role, few), heldLogCost(t, role, times*few)
		t.Logf("%s: %d readers take %v, and %d take %v", role, few, some, times*few, many)
		if many > 10*times*some { // where each looks through all of them it is hundreds of times as long
			t.Errorf("%s: %d times as many readers take %.0f times as long", role, times, float64(many)/float64(some))
		}
	}
}

// heldLogCost returns how long so many readers take for some frames, at the best of some times.
func heldLogCost(t *testing.T, role role, readers int) time.Duration {
	t.Helper()
	const frames, runs = 20, 5
	r := NewRegistry(anyLimits)
	defer r.Close()
	join := func(place Place) *Subscription {
		sub, err := r.Join(Join{
			Key: "k", Own: role == mainRole, Private: role == privateRole, Resumable: true, Ordered: true, Place: place,
			Open: func(after []byte, catchUp bool) (string, Params) {
				return "e" + string(after) + strconv.FormatBool(catchUp), Params{
					Source: &room{headers: true}, Renderer: &follows{renderer{cursors: true}, after}, Judge: judge,
					Cursors: &Cursors{Expired: func(error) bool { return false }},
					Log:     replay.Params{Events: 1000, Bytes: 1 << 20}, Backoff: Backoff{Initial: time.Second, Max: time.Second},
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(sub.Leave)
		return sub
	}
	first := Place{}
	if role == catchUpRole {
		first = atID("m0")
	}
	opener := join(first)
	topic := opener.Topic
	grow := func(n int) {
		if err := topic.member.grow([]byte("frame"), "m"+strconv.Itoa(n), false); err != nil {
			t.Fatal(err)
		}
	}
	grow(1)
	place := atID("m1")
	if role == privateRole {
		place = Place{ID: topic.epoch + "-1", Epoch: topic.epoch, Seq: 1}
	}
	all := []*Subscription{opener}
	for range readers {
		sub := join(place)
		if sub.Topic != topic || !sub.Retained() {
			t.Fatal("the client does not read the held log")
		}
		all = append(all, sub)
	}
	best := time.Duration(1 << 62)
	for run := range runs {
		began := time.Now()
		for n := 2 + run*frames; n < 2+(run+1)*frames; n++ {
			grow(n)
			for _, sub := range all {
				sub.Progress(uint64(n))
			}
		}
		best = min(best, time.Since(began))
	}
	return best
}
