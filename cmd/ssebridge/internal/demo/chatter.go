package demo

import (
	"context"
	"math/rand/v2"
	"time"

	demov1 "github.com/ssebridge/ssebridge/gen/ssebridge/demo/v1"
	"github.com/ssebridge/ssebridge/internal/pause"
)

// lobby is the room in which the chatters talk.
const lobby = "lobby"

// chatters are two names that type to each other in the lobby, but only while
// somebody watches: an unwatched demo does nothing.
type chatters struct {
	rooms *rooms
	// pause is the time before a line of that many characters; replaced in tests.
	pause func(characters int) time.Duration
}

func newChatters(rs *rooms) *chatters {
	return &chatters{rooms: rs, pause: typingTime}
}

// typingTime is how long somebody takes to read the last line and type the next one.
func typingTime(characters int) time.Duration {
	typing := 900*time.Millisecond + time.Duration(characters)*28*time.Millisecond
	return typing + rand.N(600*time.Millisecond)
}

// run talks until ctx is done. The chatters are subscribers themselves, so the lobby
// exists from the start and they count as one watcher of it.
func (c *chatters) run(ctx context.Context) {
	r := c.rooms.enter(lobby)
	if r == nil {
		return
	}
	defer c.rooms.exit(r)

	lines := script()
	replies := 0
	for next := 0; ; {
		seen, ok := c.awaitListener(ctx, r)
		if !ok {
			return
		}
		line := lines[next%len(lines)]
		if pause.For(ctx, c.pause(len(line.text))) != nil {
			return
		}
		if guest := guestAfter(r, seen); guest != "" {
			c.greet(r, guest, replies)
			replies++
			continue
		}
		line.perform(r)
		next++
	}
}

// awaitListener waits until somebody else is in the room, and returns the room's
// newest seq; false when ctx is done.
func (c *chatters) awaitListener(ctx context.Context, r *room) (seq int64, ok bool) {
	for {
		watchers, newest, changed := r.watched()
		if watchers > 1 {
			return newest, true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, false
		}
	}
}

// greet answers a guest.
func (c *chatters) greet(r *room, guest string, replies int) {
	author := mira
	if replies%2 == 1 {
		author = theo
	}
	words := greetings()
	r.say(author, words[replies%len(words)]+guest+".")
}

// guestAfter returns who spoke last in the room after seq, if it was not a chatter.
func guestAfter(r *room, seq int64) string {
	events, _, ok := r.after(seq)
	if !ok {
		return ""
	}
	guest := ""
	for _, event := range events {
		if said, ok := event.GetBody().(*demov1.ChatEvent_Message); ok {
			guest = said.Message.GetAuthor()
		}
	}
	if guest == mira || guest == theo {
		return ""
	}
	return guest
}
