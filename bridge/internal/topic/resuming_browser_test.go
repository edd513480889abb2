package topic_test

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// browser keeps what an EventSource keeps: the last id, and here also what it
// expects next.
type browser struct {
	schedule *schedule
	name     int
	lastID   string
	// next is the number of the next message; -1: that of the frame after
	// behind in the log of from, which may not be known yet.
	next   int
	from   *feed
	behind uint64
	heard  []string // what it was told, for tests that play by hand

	bridge   *topic.Registry
	sub      *topic.Subscription // nil while it is away
	feed     *feed               // of the topic that it listens to
	last     *feed               // and that it last listened to
	position uint64
	own      bool          // its own RPC is main's, and it has not come to the head of the log yet
	every    time.Duration // how long its socket takes for an event; 0: no time
	written
}

// place is what the bridge makes of an id.
func (s *schedule) place(text string) topic.Place {
	id := sse.ParseID(s.mode, text)
	place := topic.Place{ID: id.Text, Epoch: id.Epoch, Seq: id.Seq, Cursor: id.Cursor, Base: id.Base, Ordinal: id.Ordinal}
	if s.mode == sse.Positions && id.Text != "" && id.Epoch == "" {
		place.Epoch = id.Text
	}
	return place
}

func (b *browser) connect(bridge *topic.Registry) {
	s := b.schedule
	kept, place := b.keeps(bridge), s.place(b.lastID)
	place.Forgotten = s.epochsOf(bridge).Wrote(0, place.Epoch)
	sub, err := bridge.Join(topic.Join{
		Key: "k", Held: s.held, Own: s.own, Resumable: s.resumable, Ordered: !s.unordered, Private: s.private,
		Place: place, MaxEvents: s.most,
		Parse: s.place,
		Open:  func(after []byte, catchUp bool) (string, topic.Params) { return s.open(bridge, after, catchUp) },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	b.bridge, b.sub, b.position, b.own, b.written = bridge, sub, sub.Position, false, written{}
	b.attach()
	s.sayf("client %d connects with %q: start %d at %d of %s %s", b.name, b.lastID, sub.Start, sub.Position, sub.Topic.Epoch()[:3], sub.Missed)
	if sub.Start != topic.Resumed && s.most == 0 && kept.holds(s.place(b.lastID)) {
		s.errorf("client %d came with %q, which could be resumed at, and was told %q", b.name, b.lastID, sub.Missed)
	}
	if from := s.feeds[place.Epoch]; sub.Missed == reason.GapRestarted && from != nil && from.bridge == bridge {
		s.errorf("client %d came back to the bridge that wrote %q, and was told that it was restarted", b.name, b.lastID)
	}
	switch early := s.calm || s.random.IntN(8) > 0; {
	case !early && s.random.IntN(2) == 0:
		s.sayf("client %d is gone before it was accepted", b.name)
		b.cut()
		b.last.left = time.Time{} // it was never opened, or has been let linger before
		return
	case !early:
		s.sayf("client %d is cut before the first block", b.name)
		sub.Opened()
		b.cut()
		return
	}
	sub.Opened()
	b.begin()
	sub.Sending(b.position)
	sub.Progress(b.position)
}

// begin takes the first block.
func (b *browser) begin() {
	s, sub := b.schedule, b.sub
	if sub.Start == topic.Resumed {
		b.lastID = s.place(b.lastID).ID
		b.hears("open", "open("+b.lastID+")")
		return
	}
	b.lastID = b.positionID(sub.Position, sub.ID)
	b.standsAt(sub.Position)
	if sub.Start == topic.Missed {
		if (s.own || s.private && s.resumable) && sub.Position != 0 {
			s.errorf("client %d was given the rest of an RPC of its own, from %d on", b.name, sub.Position)
		}
		b.hears("gap:"+string(sub.Missed), "gap:"+string(sub.Missed)+"("+b.lastID+")")
		return
	}
	b.hears("open", "open("+b.lastID+")")
	b.own = s.own
	floor, head := sub.Log().Bounds()
	switch {
	case (s.own || s.private) && (sub.Position != 0 || b.feed.hasMessages()):
		s.errorf("client %d has an RPC of its own, and it has begun already", b.name)
	case s.private || s.own:
	case s.held && !near(sub.Position, floor), !s.held && !near(sub.Position, head):
		s.errorf("client %d starts at %d of %d to %d", b.name, sub.Position, floor, head)
	}
}

// hasMessages reports whether the log has more than a greeting, which comes by itself.
func (f *feed) hasMessages() bool {
	return slices.ContainsFunc(f.noted(), func(frame int) bool { return frame >= 0 })
}

// near reports whether a position is where the log's end or beginning was a moment ago: a frame or two may have come since.
func near(position, now uint64) bool { return position <= now && now <= position+2 }

// hears notes what the client was told.
func (b *browser) hears(kind, what string) {
	b.heard = append(b.heard, what)
	if b.schedule.told != nil {
		b.schedule.told[kind]++
	}
}

// attach notes the log that the client listens to, so that it is known for how long
// the client can come back to it.
func (b *browser) attach() {
	b.feed = b.schedule.feeds[b.sub.Topic.Epoch()]
	b.feed.topic = b.sub.Topic
	b.feed.clients++
	b.feed.latest = b
}

func (b *browser) detach() {
	b.feed.clients--
	b.feed.left = time.Now()
	b.last, b.feed = b.feed, nil
}

// keep is why a client must be able to resume.
type keep struct {
	always bool         // the route has cursors
	topic  *topic.Topic // the topic that it comes back to
}

// keeps says what must let the client resume, if it comes back now.
func (b *browser) keeps(bridge *topic.Registry) keep {
	s, place := b.schedule, b.schedule.place(b.lastID)
	f := s.feeds[place.Epoch]
	switch {
	case place.ID == "":
		return keep{}
	case s.resumable && place.Cursor != nil:
		return keep{always: true}
	case place.Epoch == "" && b.last == s.main(bridge):
		f = b.last
	}
	if f == nil || f.topic == nil || f.bridge != bridge || f.clients == 0 && time.Since(f.left) >= linger {
		return keep{}
	}
	return keep{topic: f.topic}
}

// holds reports whether there is the place, now that the client has joined: the
// gap that is told as it joins may have pushed it out.
func (k keep) holds(place topic.Place) bool {
	switch {
	case k.always || k.topic == nil:
		return k.always
	case place.Epoch != "":
		floor, head := k.topic.Log().Bounds()
		return floor <= place.Seq && place.Seq <= head
	}
	_, ok := k.topic.Log().Find(place.ID)
	return ok
}

// main returns the newest topic of a bridge that has been listened to.
func (s *schedule) main(bridge *topic.Registry) *feed {
	for _, epoch := range slices.Backward(s.epochs) {
		if f := s.feeds[epoch]; f.bridge == bridge && f.topic != nil {
			return f
		}
	}
	return nil
}

// positionID is a position of the log as an id, if its frame has the given one.
func (b *browser) positionID(position uint64, id string) string {
	s, epoch := b.schedule, b.sub.Topic.Epoch()
	switch {
	case s.mode == sse.Positions:
		return string(sse.AppendPosition(nil, epoch, position))
	case id != "":
		return id
	case s.own:
		return sse.NoID
	}
	return string(sse.AppendPosition([]byte("~"), epoch, position))
}

// standsAt notes that what comes next is what follows a position in the log.
func (b *browser) standsAt(position uint64) {
	b.from, b.behind, b.next = b.feed, position, -1
	if index := b.feed.noted()[position]; index >= 0 {
		b.next = index + 1
	}
}

// expects returns the number of the next message, -1 if it may be any.
func (b *browser) expects() int {
	if b.next >= 0 || b.from == nil {
		return b.next
	}
	for _, frame := range b.from.noted()[b.behind+1:] {
		if frame != isGreeting {
			return frame // a message, for a gap would have been told
		}
	}
	return b.next
}

func (b *browser) cut() {
	if b.sub != nil {
		b.schedule.sayf("client %d is cut", b.name)
		b.sub.Leave()
		b.sub, b.written = nil, written{}
		b.detach()
	}
}

// read takes up to n frames.
func (b *browser) read(n int) {
	s := b.schedule
	if b.sub == nil || b.frozen {
		return
	}
	lost := !s.calm && s.random.IntN(10) == 0 // written to the socket, and never received
	if lost {
		defer b.cut()
	}
	for range n {
		if b.line != "" { // its socket is slow
			if time.Now().Before(b.due) {
				return
			}
			b.wrote(!lost)
			if b.sub == nil {
				return
			}
			continue
		}
		if b.sub.Parted() {
			if !b.move() {
				return
			}
			continue
		}
		next, passing := b.sub.Pass(b.position)
		if next != b.position {
			b.position = next
			b.sub.Progress(next)
		}
		frames, position, err := b.sub.Log().Read(next, 1, nil)
		switch {
		case passing && position != next: // it has come since, and may be to be passed
			continue
		case errors.Is(err, io.EOF):
			if !b.move() {
				return
			}
			continue
		case errors.Is(err, replay.ErrEvicted):
			if b.lag(); b.sub == nil {
				return
			}
			continue
		}
		if position == next {
			if _, head := b.sub.Log().Bounds(); position == head {
				b.own = false
			}
			break
		}
		if !b.writes(frames, position) {
			continue
		}
		if !s.calm && s.random.IntN(20) == 0 {
			b.freeze()
			return
		}
		if b.every > 0 {
			return
		}
		if b.wrote(!lost); b.sub == nil {
			return
		}
	}
	if b.sub.ToldToLeave(b.sub.Topic.Status()) {
		b.cut()
	}
}

// move goes on in another log, where there is one.
func (b *browser) move() bool {
	s := b.schedule
	moved, err := b.sub.Move()
	if err != nil {
		s.t.Fatal(err)
	}
	if !moved {
		// The end was written, and did not arrive.
		b.cut()
		return false
	}
	b.detach()
	b.attach()
	s.sayf("client %d moves to %s at %d", b.name, b.sub.Topic.Epoch()[:3], b.sub.Position)
	b.position, b.late, b.own = b.sub.Position, false, false
	switch begins := s.place(b.lastID).ID == ""; {
	case b.sub.Start == topic.Fresh && s.own && begins: // as if it had come back with no id
		b.standsAt(b.position)
	case b.sub.Start != topic.Resumed:
		s.errorf("client %d was moved to where it does not stand", b.name)
	}
	return true
}

// lag is the end of a client that was too slow for the log, or a gap.
func (b *browser) lag() {
	s := b.schedule
	s.sayf("client %d lags", b.name)
	// Of several that a private log may have, it waits for the newest: the others may be dead.
	// And a client without a cursor cannot be parted from a log in which it keeps others waiting.
	late := b.late && (!s.resumable || s.place(b.lastID).Cursor == nil)
	if !late && (s.private && b.feed.latest == b || b.feed.catchUp || b.own) {
		s.errorf("client %d has fallen off a log that waits for its clients", b.name)
	}
	if !s.skips {
		b.cut()
		return
	}
	position, id := b.sub.Log().Floor()
	b.lastID, b.position = b.positionID(position, id), position
	b.standsAt(position)
	b.hears("gap:lagged", "gap:lagged("+b.lastID+")")
}

// take is the arrival of one event.
func (b *browser) take(line string) {
	s := b.schedule
	id, what, _ := strings.Cut(line, "|")
	s.sayf("client %d gets %s", b.name, line)
	before := b.lastID
	b.lastID = id
	kind := strings.TrimRight(what, "0123456789")
	switch kind {
	case "hello":
		b.hears(kind, what+"("+id+")")
		return
	case "m", "bad":
	default:
		b.hears(what, what+"("+id+")")
		if strings.HasPrefix(what, "end:") {
			b.ended(before)
			return
		}
		b.standsAt(b.position)
		return
	}
	b.hears(kind, what+"("+id+")")
	index, err := strconv.Atoi(strings.TrimPrefix(what, kind))
	if err != nil {
		s.errorf("client %d got %q", b.name, line)
		return
	}
	if want := b.expects(); want != -1 && index != want {
		s.errorf("client %d at %q got m%d, and was to get m%d", b.name, before, index, want)
	}
	b.next, b.from = index+1, nil
}

// ended is the end of the stream: the page opens another one.
func (b *browser) ended(before string) {
	if frames := b.feed.noted(); b.next >= 0 && len(frames) > 2 {
		// It may have more, from an RPC that did not end so early.
		if last := frames[len(frames)-2]; b.next <= last {
			b.schedule.errorf("client %d at %q was told the end before m%d", b.name, before, b.next)
		}
	}
	b.cut()
	b.lastID, b.next, b.from = "", -1, nil
}
