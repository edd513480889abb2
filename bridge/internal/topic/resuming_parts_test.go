package topic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// call is an RPC at the schedule's backend.
type call struct {
	schedule *schedule
	feed     *feed
	id       int
	cursor   string // that it was opened at
	at       int    // the next message
	newest   int    // how many messages there were when it was opened
	sent     bool   // a message, which the pump may have known
	refusal  error
	hello    bool            // the greeting is to come
	late     error           // the refusal that follows it
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
	if c.hello {
		c.hello = false
		c.sent = true
		return message([]byte(strconv.Itoa(isGreeting)))
	}
	if c.late != nil {
		return c.late
	}
	select {
	case p := <-c.parts:
		if p.err != nil {
			return p.err
		}
		c.sent = true
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
	c.feed.lost = c.feed.lost || c.sent
	s.calls = slices.DeleteFunc(s.calls, func(other *call) bool { return other == c })
	s.sayf("RPC %d is over", c.id)
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
	catchUp  bool
	read     int   // the message that was read last
	frames   []int // by position: the number of the message, or a greeting, a gap or the end; that at 0 is none
	lost     bool  // since the newest gap an RPC that had sent is over
	refused  bool  // since the newest gap an RPC was refused for its cursor
	flaky    bool  // an RPC has failed with errFlaky

	// Kept by the clients.
	bridge  *topic.Registry
	topic   *topic.Topic
	clients int
	latest  *browser  // the one that came last
	left    time.Time // when the last one did
}

// Entries of a log that are no messages.
const (
	isGap      = -1
	isEnd      = -2
	isGreeting = -3
)

// Open opens an RPC where the backend's history has the cursor.
func (f *feed) Open(ctx context.Context, cursor []byte) (topic.Stream, error) {
	s := f.schedule
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.down) > 0 {
		err := s.down[0]
		s.down = s.down[1:]
		s.sayf("an RPC at %q meets %v", cursor, err)
		f.flaky = f.flaky || errors.Is(err, errFlaky)
		return nil, err
	}
	s.opened++
	c := &call{schedule: s, feed: f, id: s.opened, cursor: string(cursor), newest: len(s.messages), ctx: ctx, parts: make(chan part)}
	c.at, c.refusal = s.from(cursor)
	f.refused = f.refused || c.refusal != nil
	if c.hello = s.greets; c.hello {
		c.late, c.refusal = c.refusal, nil
	}
	s.sayf("RPC %d opens at %q: m%d %v", c.id, cursor, c.at, c.refusal)
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
	if f.read, _ = strconv.Atoi(string(wire)); f.read == isGreeting {
		return topic.Message{}, nil
	}
	m := f.schedule.message(f.read)
	if m.bad {
		return topic.Message{Cursor: []byte(m.cursor)}, errors.New("cannot be shown")
	}
	return topic.Message{Cursor: []byte(m.cursor)}, nil
}

// Event renders it as a line: its id and its number.
func (f *feed) Event() (frame []byte, id string) {
	f.note(f.read)
	if f.read == isGreeting {
		f.ids.Message(nil)
		id = string(f.ids.AppendID(nil))
		return fmt.Appendf(nil, "%s|hello\n", id), f.logID(id)
	}
	f.ids.Message([]byte(f.schedule.message(f.read).cursor))
	id = string(f.ids.AppendID(nil))
	return fmt.Appendf(nil, "%s|m%d\n", id, f.read), f.logID(id)
}

// Release does nothing: what was returned is not used again.
func (*feed) Release() {}

// note and noted share with the clients what stands in the log.
func (f *feed) note(frame int) {
	f.schedule.mu.Lock()
	defer f.schedule.mu.Unlock()
	f.frames = append(f.frames, frame)
}

func (f *feed) noted() []int {
	f.schedule.mu.Lock()
	defer f.schedule.mu.Unlock()
	return slices.Clone(f.frames)
}

// Gap renders a gap, with the id before it.
func (f *feed) Gap(why reason.Gap) (frame []byte, id string) {
	s, last := f.schedule, string(f.ids.AppendID(nil))
	if why == reason.GapUntranscodable {
		f.note(f.read)
		f.ids.Message([]byte(s.message(f.read).cursor))
		id = string(f.ids.AppendID(nil))
		return fmt.Appendf(nil, "%s|bad%d\n", id, f.read), f.logID(id)
	}
	if fault := f.avoidable(why); fault != "" {
		s.errorf("a gap %s after %q is avoidable: %s", why, last, fault)
	}
	f.note(isGap)
	f.ids.Break()
	f.lost, f.refused = false, false
	id = string(f.ids.AppendID(nil))
	return fmt.Appendf(nil, "%s|gap:%s\n", id, why), f.logID(id)
}

// avoidable says why a gap need not have been, if so.
func (f *feed) avoidable(why reason.Gap) string {
	_, _, cursor := f.ids.Resume()
	switch why {
	case reason.GapUpstream:
		if f.schedule.resumable && cursor {
			return "there is a cursor to resume at"
		}
		if !f.lost {
			return "no RPC was lost that had sent a message"
		}
	case reason.GapExpired:
		if !f.refused && (f.schedule.most == 0 || uint64(len(f.frames)) <= f.schedule.most) {
			return "the backend has refused no cursor"
		}
	case reason.GapRestarted:
		if !f.schedule.restarts {
			return "the backend has not begun again"
		}
	default:
		return "there is no such reason"
	}
	return ""
}

// logID is the id by which a log finds a frame.
func (f *feed) logID(id string) string {
	if f.schedule.mode == sse.Positions {
		return ""
	}
	return id
}

// End renders the end.
func (f *feed) End(err error) (frame []byte, id string) {
	if s := f.schedule; err == nil && !s.ends || err != nil && !s.fails && (!f.flaky || !errors.Is(err, errFlaky)) {
		s.errorf("the stream ends with %v", err)
	}
	f.note(isEnd)
	id = string(f.ids.AppendFinal(nil))
	return fmt.Appendf(nil, "%s|end:%v\n", id, err), f.logID(id)
}

// Resume returns where the RPC can be opened again.
func (f *feed) Resume() (cursor []byte, since uint64, ok bool) { return f.ids.Resume() }

// epochsOf returns what names a bridge's logs.
func (s *schedule) epochsOf(bridge *topic.Registry) *sse.Epochs {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil {
		s.names = map[*topic.Registry]*sse.Epochs{}
	}
	if s.names[bridge] == nil {
		s.names[bridge] = sse.NewEpochs()
	}
	return s.names[bridge]
}

// open is a topic.Join's Open.
func (s *schedule) open(bridge *topic.Registry, after []byte, catchUp bool) (string, topic.Params) {
	epoch := s.epochsOf(bridge).New(0)
	f := &feed{schedule: s, epoch: epoch, catchUp: catchUp, bridge: bridge, frames: []int{isEnd}, ids: sse.NewNumbering(sse.NumberingParams{
		Mode: s.mode, Epoch: epoch, Repeats: s.rules.Repeats, Own: s.own, After: after,
	})}
	if after != nil && !catchUp && !s.private {
		s.errorf("a main log begins after %q", after)
	}
	s.mu.Lock() // timers of two bridges may be due at once
	s.feeds[epoch], s.epochs = f, append(s.epochs, epoch)
	s.mu.Unlock()
	params := topic.Params{
		Source: f, Renderer: f, Judge: f.judge, Log: s.log, Linger: linger, Attempts: s.attempts, CatchUp: s.most, Reopen: s.reopen,
		Backoff: topic.Backoff{Initial: 100 * time.Millisecond, Max: time.Second},
	}
	if s.resumable {
		params.Cursors = &s.rules
	}
	return epoch, params
}

func (f *feed) judge(err error) topic.Verdict {
	f.flaky = f.flaky || errors.Is(err, errFlaky)
	return judge(err)
}

// ok is the end of an RPC that has not failed.
var ok = io.EOF
