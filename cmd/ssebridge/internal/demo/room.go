package demo

import (
	"sync"

	"google.golang.org/protobuf/types/known/timestamppb"

	demov1 "github.com/ssebridge/ssebridge/gen/ssebridge/demo/v1"
)

// Bounds of what strangers can make the backend remember.
const (
	maxRooms    = 100
	roomHistory = 500 // events
)

// room is an ordered, bounded log of events. Its subscribers are positions in it: each
// reads on from the seq it has, so nothing is queued for anyone. All methods may be
// called at once from many goroutines.
type room struct {
	id string

	mu       sync.Mutex
	events   []*demov1.ChatEvent // the newest ones, in the order of seq; immutable once in
	newest   int64               // the seq of the newest event, 0 before the first
	watchers int
	changed  chan struct{} // closed and replaced at each change
}

// newRoom makes an empty room.
func newRoom(id string) *room {
	return &room{id: id, changed: make(chan struct{})}
}

// append takes an event in: it gets its seq, time and room, belongs to the room from
// then on, and must not be changed.
func (r *room) append(event *demov1.ChatEvent) *demov1.ChatEvent {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.newest++
	event.Seq = r.newest
	event.Time = timestamppb.Now()
	event.RoomId = r.id
	if len(r.events) == roomHistory {
		r.events = r.events[1:] // not cleared: a subscriber may be reading it still
	}
	r.events = append(r.events, event)
	r.announce()
	return event
}

// say appends a message.
func (r *room) say(author, text string) *demov1.ChatEvent {
	return r.append(&demov1.ChatEvent{Body: &demov1.ChatEvent_Message{Message: &demov1.ChatMessage{Author: author, Text: text}}})
}

// join appends that somebody came.
func (r *room) join(user string) {
	r.append(&demov1.ChatEvent{Body: &demov1.ChatEvent_Joined{Joined: &demov1.Joined{User: user}}})
}

// leave appends that somebody left.
func (r *room) leave(user string) {
	r.append(&demov1.ChatEvent{Body: &demov1.ChatEvent_Left{Left: &demov1.Left{User: user}}})
}

// announce wakes everyone who waits for a change. The caller holds mu.
func (r *room) announce() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// after returns the events that follow seq, and a channel that is closed at the room's
// next change. It reports false when the event after seq is not held any more, or when
// the room has never come as far as seq.
func (r *room) after(seq int64) (events []*demov1.ChatEvent, changed <-chan struct{}, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	held := int64(len(r.events))
	skip := held - (r.newest - seq)
	if skip < 0 || skip > held {
		return nil, nil, false
	}

	// A copy of the slice's header is enough: events in it are never written again.
	return r.events[skip:held:held], r.changed, true
}

// begin returns the seq after which a stream without a position begins: with the newest
// limit events (0: all held) if it wants history, else with what happens next.
func (r *room) begin(history bool, limit int) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !history {
		return r.newest
	}
	held := len(r.events)
	if limit > 0 {
		held = min(held, limit)
	}
	return r.newest - int64(held)
}

// watched reports how many subscribers the room has, the seq of its newest event, and a
// channel that is closed at the next change of either.
func (r *room) watched() (watchers int, newest int64, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.watchers, r.newest, r.changed
}

// rooms are all rooms that somebody has named and that hold something or have a
// subscriber; at most maxRooms at once.
type rooms struct {
	mu   sync.Mutex
	byID map[string]*room
}

func newRooms() *rooms {
	return &rooms{byID: make(map[string]*room)}
}

// open returns the room of that name, made if need be; nil when there are too many.
// The caller holds mu until the room has a subscriber or an event.
func (rs *rooms) open(id string) *room {
	r := rs.byID[id]
	if r == nil && len(rs.byID) < maxRooms {
		r = newRoom(id)
		rs.byID[id] = r
	}
	return r
}

// say appends a message to the room of that name. It returns nil when there are too
// many rooms.
func (rs *rooms) say(id, author, text string) *demov1.ChatEvent {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.open(id)
	if r == nil {
		return nil
	}
	return r.say(author, text)
}

// enter returns the room of that name with one more subscriber, who must exit it. It
// returns nil when there are too many rooms.
func (rs *rooms) enter(id string) *room {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.open(id)
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watchers++
	r.announce()
	return r
}

// exit takes a subscriber off a room. A room that nobody watches and in which nothing
// ever happened is forgotten: no position in it was given to anyone.
func (rs *rooms) exit(r *room) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watchers--
	r.announce()
	if r.watchers == 0 && r.newest == 0 {
		delete(rs.byID, r.id)
	}
}
