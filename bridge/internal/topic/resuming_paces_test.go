package topic_test

import (
	"bytes"
	"slices"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// written is the event that a client is being written. A client whose socket takes
// nothing stays there.
type written struct {
	frozen   bool
	late     bool      // it has been frozen or slow since it came to its log
	line     string    // the event; empty: there is none
	position uint64    // behind it
	due      time.Time // when a slow socket has taken it
}

// writes begins to write an event. It is false where the client is to move first.
func (b *browser) writes(frames [][]byte, position uint64) bool {
	if b.sub.Sending(position); b.sub.Parted() {
		return false
	}
	b.line, b.written.position = string(bytes.TrimSuffix(bytes.Join(frames, nil), []byte("\n"))), position
	b.due = time.Now().Add(b.every)
	b.late = b.late || b.every > 0
	return true
}

// slows has the client's socket take one event per interval from now on, also on its
// next connections: a client of 8 KiB/s takes an event of 250 bytes every 30 ms.
func (b *browser) slows(every time.Duration) {
	b.schedule.sayf("client %d takes an event every %v", b.name, every)
	b.every = every
}

// wrote says that the event has been written, and whether it has arrived.
func (b *browser) wrote(arrived bool) {
	line := b.line
	b.position, b.line = b.written.position, ""
	b.sub.Progress(b.position)
	if _, head := b.sub.Log().Bounds(); b.position == head {
		b.own = false
	}
	if arrived && line != "" {
		b.take(line)
	}
}

// freeze has the client's socket take nothing, in the middle of an event if there is one.
func (b *browser) freeze() {
	if b.sub == nil || b.frozen {
		return
	}
	b.schedule.sayf("client %d is frozen at %d", b.name, b.position)
	b.frozen, b.late = true, true
	b.stuck()
}

// stuck begins to write what there is to a client that is frozen.
func (b *browser) stuck() {
	if b.line != "" || b.sub.Parted() {
		return
	}
	next, passing := b.sub.Pass(b.position)
	if next != b.position {
		b.position = next
		b.sub.Progress(next)
	}
	if frames, position, err := b.sub.Log().Read(next, 1, nil); err == nil && position > next && !passing {
		b.writes(frames, position)
	}
}

// thaw has the client's socket take what it is being written.
func (b *browser) thaw() {
	if b.sub == nil || !b.frozen {
		return
	}
	b.schedule.sayf("client %d is back", b.name)
	b.frozen = false
	if b.line != "" {
		b.wrote(true)
	}
}

// ghost is a connection whose client has left it, of which the bridge knows nothing.
type ghost struct {
	bridge   *topic.Registry
	sub      *topic.Subscription
	position uint64
	writing  bool
	until    time.Time
}

// haunt leaves the client's connection behind, for a time.
func (b *browser) haunt(d time.Duration) {
	s := b.schedule
	s.sayf("client %d leaves a dead connection behind", b.name)
	g := &ghost{b.bridge, b.sub, b.position, b.line != "", time.Now().Add(d)}
	s.ghosts = append(s.ghosts, g)
	b.sub, b.written = nil, written{}
	b.detach()
}

// some is for how long a connection may be dead until the bridge notices.
func (s *schedule) some() time.Duration { return time.Duration(1+s.random.IntN(20)) * time.Second }

// serveSlow does what the bridge does for those that take nothing.
func (s *schedule) serveSlow() {
	for _, c := range s.clients {
		if c.sub != nil && c.frozen {
			c.stuck()
		}
	}
	s.ghosts = slices.DeleteFunc(s.ghosts, func(g *ghost) bool {
		if time.Now().After(g.until) {
			g.sub.Leave()
			return true
		}
		if _, position, err := g.sub.Log().Read(g.position, 1, nil); !g.writing && err == nil && position > g.position {
			g.sub.Sending(position)
			g.writing = true
		}
		return false
	})
}

// flowFor lets everything flow for a time. Frozen clients take nothing, and slow ones
// what their sockets take.
func (s *schedule) flowFor(d time.Duration) {
	const tick = 25 * time.Millisecond
	for range d / tick {
		rounds := 0
		for moved := true; moved && !s.t.Failed(); rounds++ {
			if moved = false; rounds > 1000 {
				s.errorf("clients, RPCs and logs do not come to rest")
			}
			for _, c := range s.clients {
				if c.sub == nil {
					c.connect(s.bridges[0])
				}
				before := c.position
				c.read(100)
				moved = moved || c.sub == nil || c.position != before
			}
			s.serveSlow()
			synctest.Wait()
			for _, c := range s.running() {
				moved = c.deliver() || moved
				synctest.Wait()
			}
		}
		time.Sleep(tick)
		synctest.Wait()
	}
}

// paces has clients that share a cursor come back to more than a log holds. Some of
// them take nothing any more, some take an event now and then, and some have left dead
// connections behind: the others have everything within a second, as if these were not
// there.
func (s *schedule) paces() {
	s.calm = true
	s.down = nil
	s.hurry()
	s.flowFor(3 * time.Second) // also past what the backend's failures have put off
	var frozen, slow []*browser
	for i, c := range s.clients {
		if c.sub == nil || i == 0 && s.random.IntN(2) == 0 {
			continue
		}
		switch s.random.IntN(4) {
		case 0:
			frozen = append(frozen, c)
		case 1:
			slow = append(slow, c)
		}
	}
	if s.random.IntN(4) > 0 {
		for _, c := range s.clients {
			c.cut()
		}
		s.publish(s.backlog())
		if s.random.IntN(2) == 0 {
			time.Sleep(linger + time.Second) // no log is left
		}
	}
	for _, c := range slow {
		c.slows(time.Duration(25+s.random.IntN(500)) * time.Millisecond)
	}
	for _, c := range s.clients {
		if c.sub == nil {
			c.connect(s.bridges[0])
		}
		if c.sub != nil && s.random.IntN(3) == 0 {
			c.haunt(s.some())
			c.connect(s.bridges[0])
		}
		if slices.Contains(frozen, c) {
			c.freeze()
		}
	}
	s.publish(s.backlog())
	s.flowFor(time.Second / 2)
	s.publish(1)
	s.flowFor(time.Second / 2)
	for _, c := range s.clients {
		// Behind a gap nothing may have come: an RPC opened without a cursor brings only what is new.
		switch {
		case c.sub == nil, c.frozen, c.every > 0, c.next < 0 && c.position == c.sub.Log().Newest():
		case c.next != len(s.messages):
			s.errorf("client %d has waited for others for a second, at m%d of %d", c.name, c.next, len(s.messages))
		}
	}
	s.hurry()
}

// backlog is how many messages clients are to miss: more than a log holds, and at
// times so many that a slow client takes seconds for them.
func (s *schedule) backlog() int {
	n := 1 + s.random.IntN(3*s.log.Events)
	if s.random.IntN(3) == 0 {
		n += 30
	}
	return n
}

// hurry has all clients take what there is.
func (s *schedule) hurry() {
	for _, c := range s.clients {
		c.thaw()
		c.every, c.due = 0, time.Time{}
	}
}
