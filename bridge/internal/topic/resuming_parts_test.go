package topic_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// call is an RPC at the schedule's backend.
type call struct {
	schedule *schedule
	id       int
	cursor   string // that it was opened at
	at       int    // the next message
	newest   int    // how many messages there were when it was opened
	refusal  error
	ctx      context.Context // an RPC is bound to it
	parts    chan part       // unbuffered: what is sent was taken
}

type part struct {
	index int
	err   error
}

// Accepted answers at once.
func (c *call) Accepted() error {
	if c.refusal != nil {
		return c.refusal
	}
	return c.ctx.Err()
}

// Next waits for what the schedule does.
func (c *call) Next(message func(wire []byte) error) error {
	select {
	case p := <-c.parts:
		if p.err != nil {
			return p.err
		}
		return message([]byte(strconv.Itoa(p.index)))
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// Close takes the RPC off the backend's list.
func (c *call) Close() {
	s := c.schedule
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = slices.DeleteFunc(s.calls, func(other *call) bool { return other == c })
	s.say("RPC %d is over", c.id)
}

// deliver sends the next message, if there is one and the pump reads.
func (c *call) deliver() bool {
	messages := c.schedule.messages
	for c.at < c.newest && messages[c.at].passing {
		c.at++
	}
	if c.at >= len(messages) {
		return false
	}
	select {
	case c.parts <- part{index: c.at}:
		c.at++
		return true
	default:
		return false // held back
	}
}

func (c *call) fail(err error) {
	select {
	case c.parts <- part{err: err}:
	case <-c.ctx.Done():
	default: // held back: it is found broken later
	}
}

// feed is a topic's source and renderer: the ids are the product's own.
type feed struct {
	schedule *schedule
	epoch    string
	ids      *sse.Numbering
	read     int  // the message that was read last
	index    int  // the one that was rendered last
	going    bool // a message has come since the log, or its newest gap, began
}

// Open opens an RPC where the backend's history has the cursor.
func (f *feed) Open(ctx context.Context, cursor []byte) (topic.Stream, error) {
	s := f.schedule
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	c := &call{schedule: s, id: s.opened, cursor: string(cursor), newest: len(s.messages), ctx: ctx, parts: make(chan part)}
	c.at, c.refusal = s.from(cursor)
	s.say("RPC %d opens at %q: m%d %v", c.id, cursor, c.at, c.refusal)
	s.calls = append(s.calls, c)
	return c, nil
}

// from returns the message with which an RPC begins.
func (s *schedule) from(cursor []byte) (int, error) {
	if cursor == nil {
		if s.history {
			return s.trimmed, nil
		}
		return len(s.messages), nil
	}
	carries := func(m message) bool { return m.cursor == string(cursor) }
	first := slices.IndexFunc(s.messages, carries)
	if first < 0 {
		return 0, errGone
	}
	at := first
	if !s.rules.Inclusive {
		for i, m := range s.messages {
			if carries(m) {
				at = i + 1
			}
		}
	}
	if at < s.trimmed {
		return 0, errGone
	}
	return at, nil
}

// Read reads a message.
func (f *feed) Read(_ context.Context, wire []byte) (topic.Message, error) {
	f.read, _ = strconv.Atoi(string(wire))
	return topic.Message{Cursor: []byte(f.schedule.messages[f.read].cursor)}, nil
}

// Event renders it as a line: its id and its number.
func (f *feed) Event() (frame []byte, id string) {
	f.index, f.going = f.read, true
	f.ids.Message([]byte(f.schedule.messages[f.index].cursor))
	id = string(f.ids.AppendID(nil))
	return fmt.Appendf(nil, "%s|m%d\n", id, f.index), id
}

// Gap renders a gap, with the id before it.
func (f *feed) Gap(reason string) (frame []byte, id string) {
	last := string(f.ids.AppendID(nil))
	f.ids.Break()
	f.going = false
	id = string(f.ids.AppendID(nil))
	return fmt.Appendf(nil, "%s|gap:%s:%s\n", id, reason, last), id
}

// End renders the end.
func (f *feed) End(err error) (frame []byte, id string) {
	id = string(f.ids.AppendFinal(nil))
	return fmt.Appendf(nil, "%s|end:%v\n", id, err), id
}

// Resume returns where the RPC can be opened again.
func (f *feed) Resume() (cursor []byte, since uint64, ok bool) { return f.ids.Resume() }

// open is a topic.Join's Open.
func (s *schedule) open(after []byte, _ bool) (string, topic.Params) {
	epoch := sse.NewEpoch()
	f := &feed{schedule: s, epoch: epoch, ids: sse.NewNumbering(sse.NumberingParams{
		Mode: sse.Cursors, Epoch: epoch, Repeats: s.rules.Repeats, Own: s.own, After: after,
	})}
	s.feeds[epoch], s.epochs = f, append(s.epochs, epoch)
	return epoch, topic.Params{
		Source: f, Renderer: f, Cursors: &s.rules, Log: s.log, Linger: 5 * time.Second, Reopen: s.reopen,
		Judge: func(err error) topic.Verdict {
			if errors.Is(err, errLost) {
				return topic.Hold
			}
			return topic.Fatal
		},
		Backoff: topic.Backoff{Initial: 100 * time.Millisecond, Max: time.Second},
	}
}

// browser keeps what an EventSource keeps: the last id, and here also what it
// expects next.
type browser struct {
	schedule *schedule
	name     int
	lastID   string
	next     int // the number of the next message; -1: any, after a gap or at a fresh start
	heard    []string

	bridge   *topic.Registry
	sub      *topic.Subscription // nil while it is away
	position uint64
}

func place(text string) topic.Place {
	id := sse.ParseID(sse.Cursors, text)
	return topic.Place{ID: id.Text, Epoch: id.Epoch, Seq: id.Seq, Cursor: id.Cursor, Base: id.Base, Ordinal: id.Ordinal}
}

func (b *browser) connect(bridge *topic.Registry) {
	s := b.schedule
	sub, err := bridge.Join(topic.Join{
		Key: "k", Held: s.held, Own: s.own, Resumable: true, Ordered: !s.unordered, Private: s.private,
		Place: place(b.lastID), Open: s.open,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	b.bridge, b.sub, b.position = bridge, sub, sub.Position
	sub.Opened()
	s.say("client %d connects with %q: start %d at %d of %s %s", b.name, b.lastID, sub.Start, sub.Position, sub.Topic.Epoch()[:3], sub.Missed)
	if !s.calm && s.random.IntN(8) == 0 {
		s.say("client %d is cut before the first block", b.name)
		b.cut()
		return
	}
	switch sub.Start {
	case topic.Resumed:
		b.lastID = place(b.lastID).ID
	case topic.Fresh:
		b.lastID, b.next = b.positionID(), b.expects()
	case topic.Missed:
		if !strings.HasPrefix(b.lastID, "~") {
			s.errorf("client %d came with the cursor %q and was told %s at once", b.name, b.lastID, sub.Missed)
		}
		b.lastID, b.next = b.positionID(), -1
		b.heard = append(b.heard, "gap:"+sub.Missed+"("+b.lastID+")")
		return
	}
	b.heard = append(b.heard, "open("+b.lastID+")")
}

// positionID is where a client without an id of its own begins.
func (b *browser) positionID() string {
	if id := b.sub.Log().ID(b.sub.Position); id != "" {
		return id
	}
	if b.schedule.own {
		return sse.NoID
	}
	return string(sse.AppendPosition([]byte("~"), b.sub.Topic.Epoch(), b.sub.Position))
}

// expects returns the message that a fresh client gets first, where that is
// known: at the head of a log whose RPC has delivered. One that has not may be
// opened anew, and begin elsewhere.
func (b *browser) expects() int {
	f := b.schedule.feeds[b.sub.Topic.Epoch()]
	if _, head := b.sub.Log().Bounds(); b.sub.Position != head || !f.going {
		return -1
	}
	return f.index + 1
}

func (b *browser) cut() {
	if b.sub != nil {
		b.schedule.say("client %d is cut", b.name)
		b.sub.Leave()
		b.sub = nil
	}
}

// read takes up to n frames.
func (b *browser) read(n int) {
	s := b.schedule
	if b.sub == nil {
		return
	}
	if b.sub.ToldToLeave(b.sub.Topic.Status()) {
		b.cut()
		return
	}
	lost := !s.calm && s.random.IntN(10) == 0 // written to the socket, and never received
	if lost {
		defer b.cut()
	}
	for range n {
		next, _ := b.sub.Pass(b.position)
		frames, position, err := b.sub.Log().Read(next, 1, nil)
		switch {
		case errors.Is(err, io.EOF):
			moved, err := b.sub.Move(place)
			if err != nil || !moved {
				s.errorf("client %d: the stream ended: %v", b.name, err)
				return
			}
			s.say("client %d moves to %s at %d", b.name, b.sub.Topic.Epoch()[:3], b.sub.Position)
			b.position = b.sub.Position
			continue
		case errors.Is(err, replay.ErrEvicted):
			s.say("client %d lags", b.name)
			b.cut()
			return
		}
		b.position = position
		b.sub.Progress(position)
		if position == next {
			return
		}
		if !lost {
			b.take(string(bytes.TrimSuffix(bytes.Join(frames, nil), []byte("\n"))))
		}
	}
}

// take is the arrival of one event.
func (b *browser) take(line string) {
	s := b.schedule
	id, what, _ := strings.Cut(line, "|")
	s.say("client %d gets %s", b.name, line)
	before := b.lastID
	b.lastID = id
	if gap, ok := strings.CutPrefix(what, "gap:"); ok {
		reason, last, _ := strings.Cut(gap, ":")
		b.heard = append(b.heard, "gap:"+reason+"("+id+")")
		permitted := reason == "expired" && s.trims > 0 || reason == "restarted" && s.restarts || reason == "upstream" && strings.HasPrefix(last, "~")
		if !permitted {
			s.errorf("client %d at %q was told a gap that nothing explains: %s after %q", b.name, before, reason, last)
		}
		b.next = -1
		return
	}
	b.heard = append(b.heard, what+"("+id+")")
	index, err := strconv.Atoi(strings.TrimPrefix(what, "m"))
	if err != nil {
		s.errorf("client %d got %q", b.name, line)
		return
	}
	if b.next >= 0 && index != b.next {
		s.errorf("client %d at %q got m%d, and was to get m%d", b.name, before, index, b.next)
	}
	b.next = index + 1
}
