package topic

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// BenchmarkFrame is the cost of a frame that is appended to a log of a family with
// so many others: it is to be the same. Half of the others stand at cursors that
// never come, and half have replayed something.
func BenchmarkFrame(b *testing.B) {
	for _, logs := range []int{1, 100, 10_000} {
		for _, role := range []role{mainRole, catchUpRole} {
			b.Run(fmt.Sprintf("%s of %d", role, logs), func(b *testing.B) { benchmarkFrame(b, logs, role) })
		}
	}
}

func benchmarkFrame(b *testing.B, logs int, role role) {
	b.Helper()
	r := NewRegistry(Limits{Topics: 100_000, Idle: 10, Bytes: 1 << 30})
	defer r.Close()
	opened, accepted := 0, make(chan struct{})
	join := func(cursor string) *Topic {
		sub, err := r.Join(Join{
			Key: "k", Resumable: true, Ordered: true, Place: Place{ID: cursor, Cursor: []byte(cursor), Base: cursor},
			Open: func(after []byte, _ bool) (string, Params) {
				opened++
				return strconv.Itoa(opened), Params{
					Source: &room{[]string{"old", "m1", "m2"}, true}, Renderer: &follows{renderer{cursors: true}, after}, Judge: judge,
					Cursors: &Cursors{Expired: func(error) bool { return false }},
					Log:     replay.Params{Events: 1024, Bytes: 1 << 20}, Backoff: Backoff{Initial: time.Second, Max: time.Second},
				}
			},
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(sub.Leave)
		return sub.Topic
	}
	var others []*Topic
	for i := range logs {
		others = append(others, join("f"+strconv.Itoa(i)))
	}
	go func() {
		defer close(accepted)
		for _, t := range others {
			for status := t.Status(); status.Phase != Live; status = t.Status() {
				<-status.Changed()
			}
		}
	}()
	<-accepted
	t := others[0].home.main
	if role == catchUpRole {
		t = others[0]
	}
	for i, other := range others[1:] {
		if i%2 == 0 {
			if err := other.member.grow([]byte("x"), "o"+strconv.Itoa(i), false); err != nil {
				b.Fatal(err)
			}
		}
	}
	frame := make([]byte, 250)
	ids := make([]string, 4096)
	for i := range ids {
		ids[i] = "n" + strconv.Itoa(i)
	}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		if err := t.member.grow(frame, ids[n%len(ids)], false); err != nil {
			b.Fatal(err)
		}
		n++
		t.log.Release(uint64(n))
	}
}
