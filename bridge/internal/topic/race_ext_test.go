package topic_test

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// TestJoinsRaceWithAWriter: 10,000 joins at cursors that the log may evict at any moment, while the backend writes as fast
// as it can. Each is placed where it stands, in the log or in a catch-up, and gets what follows, none missing or doubled.
func TestJoinsRaceWithAWriter(t *testing.T) {
	t.Run("of a long log", func(t *testing.T) { raceWithAWriter(t, 1000, 10_000) })
	t.Run("of a short one", func(t *testing.T) { raceWithAWriter(t, 3, 2000) }) // most cursors are gone before they are found
}

func raceWithAWriter(t *testing.T, events, joins int) {
	t.Helper()
	const followers = 8
	if raceEnabled {
		joins /= 10
	}
	registry := topic.NewRegistry(topic.Limits{Topics: 1000, Idle: 1000, Bytes: 1 << 30})
	defer registry.Close()
	s := &schedule{resumable: true, mode: sse.Cursors, feeds: map[string]*feed{}, rules: topic.Cursors{Expired: gone}, log: replay.Params{Events: events, Bytes: 1 << 20}}
	var mu sync.Mutex
	join := func(cursor int) (*topic.Subscription, error) {
		id := ""
		if cursor > 0 {
			id = strconv.Itoa(cursor)
		}
		return registry.Join(topic.Join{Key: "k", Resumable: true, Ordered: true, Place: s.place(id), Parse: s.place, Open: func(after []byte, catchUp bool) (string, topic.Params) {
			mu.Lock()
			defer mu.Unlock()
			epoch, params := s.open(registry, after, catchUp)
			f := &torrent{ids: s.feeds[epoch].ids}
			params.Source, params.Renderer = f, f
			return epoch, params
		}})
	}
	stays, err := join(0)
	if err != nil {
		t.Fatal(err)
	}
	stays.Opened()
	defer stays.Leave()
	for stays.Log().Newest() == 0 {
		<-stays.Log().Grown(0) // which is also told of what is not a frame
	}
	var all sync.WaitGroup
	var followed atomic.Int64
	for range followers {
		all.Go(func() {
			for range joins / followers {
				_, id := stays.Log().Head()
				at, err := strconv.Atoi(id)
				if err != nil {
					t.Error(err)
					return
				}
				whole, err := follow(join, at)
				if err != nil {
					t.Error(err)
					return
				}
				if whole {
					followed.Add(1)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d joins, of which %d read on without falling off the log", joins, followed.Load())
}

// follow joins behind a cursor and reads until it has got some messages, or has fallen off the log.
func follow(join func(int) (*topic.Subscription, error), at int) (whole bool, err error) {
	sub, err := join(at)
	if err != nil {
		return false, err
	}
	defer sub.Leave()
	sub.Opened()
	if sub.Start != topic.Resumed {
		return false, errors.New("a cursor was told to be " + string(sub.Missed))
	}
	position := sub.Position
	for want := at + 1; want < at+5; {
		frames, next, err := sub.Log().Read(position, 1, nil)
		switch {
		case errors.Is(err, io.EOF):
			if _, err := sub.Move(); err != nil {
				return false, err
			}
			if sub.Start != topic.Resumed {
				return false, errors.New("moved, a cursor was told to be " + string(sub.Missed))
			}
			position = sub.Position
			continue
		case errors.Is(err, replay.ErrEvicted):
			return false, nil // it comes back with its cursor
		case next == position:
			<-sub.Log().Grown(position)
			continue
		}
		position = next
		sub.Progress(position)
		for _, frame := range frames {
			if got := string(frame); got != strconv.Itoa(want)+"\n" {
				return false, errors.New("got " + strings.TrimSpace(got) + ", want " + strconv.Itoa(want))
			}
			want++
		}
	}
	return true, nil
}

// torrent is a backend that counts as fast as it is read, and the renderer of its messages.
type torrent struct {
	ids  *sse.Numbering
	ctx  context.Context // an RPC is bound to it
	next int
	wire []byte
}

func (f *torrent) Open(ctx context.Context, cursor []byte) (topic.Stream, error) {
	f.ctx, f.next = ctx, 0
	f.next, _ = strconv.Atoi(string(cursor))
	return f, nil
}

func (f *torrent) Accepted() error { return nil }
func (f *torrent) Close()          {}

func (f *torrent) Next(message func([]byte) error) error {
	if f.ctx.Err() != nil {
		return f.ctx.Err()
	}
	f.next++
	return message(strconv.AppendInt(nil, int64(f.next), 10))
}

func (f *torrent) Read(_ context.Context, wire []byte) (topic.Message, error) {
	f.wire = wire
	return topic.Message{Cursor: wire}, nil
}

func (f *torrent) Event() ([]byte, string) {
	f.ids.Message(f.wire)
	return append(f.wire, '\n'), string(f.ids.AppendID(nil))
}

// Release does nothing: what was returned is not used again.
func (*torrent) Release() {}

func (f *torrent) Gap(why reason.Gap) ([]byte, string) {
	return []byte("gap:" + string(why) + "\n"), ""
}
func (f *torrent) End(error) ([]byte, string)     { return []byte("end\n"), "" }
func (f *torrent) Resume() ([]byte, uint64, bool) { return f.ids.Resume() }
