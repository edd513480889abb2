package topic

import (
	"container/list"
	"context"
	"runtime"
	"sync"
	"time"
)

// silence is how long a catch-up's RPC may bring nothing until its turn goes to
// the next one. A replay that is under way brings a message sooner; an RPC that
// only waits, at the newest cursor of a quiet stream or at one that a client made
// up, may wait for hours.
const silence = 250 * time.Millisecond

// longestSilence bounds the silence of an upstream whose RPCs are slow to begin.
const longestSilence = 5 * time.Second

// Turns bounds the catch-up RPCs that replay at once, over all topics of a
// backend. It does not bound the RPCs that wait for messages: Limits.Topics does.
// A family always gets one turn, so that the catch-ups of a slow service do not
// hold up those of another one behind the same backend.
type Slots struct {
	mu      sync.Mutex
	limit   int
	free    int           // negative after the limit was lowered below the turns that are taken
	running int           // turns that are taken, counted or not
	usual   time.Duration // from an RPC's place to its first message, on the average
	lines   map[*family]*line
	waiting list.List // of *waiter, all families' in the order of their coming
}

// line is a family's part of the turns. It exists while the family has a turn or
// waits for one.
type line struct {
	taken   int
	waiting list.List // of *waiter
}

// waiter is in two lists, so that a turn finds the next one without looking at
// the others.
type waiter struct {
	family     *family
	slot       chan *slot // holds one; never closed
	inAll, own *list.Element
}

// NewTurns returns a bound of so many RPCs.
func NewSlots(atOnce int) *Slots {
	return &Slots{limit: atOnce, free: atOnce, lines: map[*family]*line{}}
}

// SetLimit changes the bound. Turns that are taken stay so; a higher bound serves
// those that wait.
func (s *Slots) SetLimit(atOnce int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free += atOnce - s.limit
	s.limit = atOnce
	s.serveLocked()
}

// turn is one RPC's. Its methods may be called on nil.
type slot struct {
	slots   *Slots
	family  *family
	counted bool // not the one that a family always gets
	once    sync.Once
	waited  time.Duration // how long the pump has not read, in all; the pump's
	since   time.Time     // when the RPC was placed; zero once it has sent a message; the pump's
	silence time.Duration // written before quiet is made

	mu       sync.Mutex
	quiet    *time.Timer // calls silent; nil until the RPC is placed
	began    time.Time   // when the silence began that quiet measures
	due      time.Time   // when quiet is to fire
	taking   bool        // a message has come and the next one is not waited for: there is no silence
	returned bool        // quiet is of no use any more
}

// try returns a turn if the family can have one at once.
func (s *Slots) try(f *family) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if line := s.lines[f]; s.free > 0 || line == nil || line.taken == 0 {
		return s.takeLocked(f)
	}
	return nil
}

// take waits for a turn.
func (s *Slots) take(ctx context.Context, f *family) (*slot, error) {
	w := s.queue(f)
	select {
	case t := <-w.slot:
		return t, nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	if len(w.slot) == 0 {
		s.leaveLocked(w)
		s.dropLocked(f)
	}
	s.mu.Unlock()
	select {
	case t := <-w.slot: // given while ctx ended
		t.giveBack()
	default:
	}
	return nil, ctx.Err()
}

// queue puts a waiter behind the others, and serves it if there is a turn.
func (s *Slots) queue(f *family) *waiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := s.lineLocked(f)
	w := &waiter{family: f, slot: make(chan *slot, 1)}
	w.inAll, w.own = s.waiting.PushBack(w), line.waiting.PushBack(w)
	if line.taken == 0 {
		s.serveFirstLocked(line)
	}
	s.serveLocked()
	return w
}

func (s *Slots) lineLocked(f *family) *line {
	l := s.lines[f]
	if l == nil {
		l = &line{}
		s.lines[f] = l
	}
	return l
}

func (s *Slots) takeLocked(f *family) *slot {
	t := &slot{slots: s, family: f, counted: s.free > 0}
	if t.counted {
		s.free--
	}
	s.running++
	s.lineLocked(f).taken++
	return t
}

// leaveLocked takes a waiter out of the lists.
func (s *Slots) leaveLocked(w *waiter) {
	s.waiting.Remove(w.inAll)
	s.lines[w.family].waiting.Remove(w.own)
}

// dropLocked forgets a family that neither has a turn nor waits for one.
func (s *Slots) dropLocked(f *family) {
	if l := s.lines[f]; l != nil && l.taken == 0 && l.waiting.Len() == 0 {
		delete(s.lines, f)
	}
}

// serveLocked gives the free turns to those that wait, in the order of their
// coming.
func (s *Slots) serveLocked() {
	for s.free > 0 && s.waiting.Len() > 0 {
		s.serveElementLocked(s.waiting.Front())
	}
}

// serveFirstLocked gives a turn to the first waiter of a family.
func (s *Slots) serveFirstLocked(l *line) {
	if first := l.waiting.Front(); first != nil {
		s.serveElementLocked(first)
	}
}

func (s *Slots) serveElementLocked(e *list.Element) {
	w := e.Value.(*waiter) //nolint:errcheck,forcetypeassert // the lists have nothing else
	s.leaveLocked(w)
	w.slot <- s.takeLocked(w.family)
}

// placed says that the RPC has its place on a connection. From now on silence
// counts, whether the backend has accepted the RPC or not: many backends send
// their headers with the first message only.
func (t *slot) placed() {
	if t == nil {
		return
	}
	t.since, t.silence = time.Now(), t.slots.silence()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.began, t.due = t.since, t.since.Add(t.silence)
	t.quiet = time.AfterFunc(t.silence, t.silent)
}

// silent gives the turn back, since the RPC has brought nothing for long enough. A
// machine that is so busy that this call is late cannot say so: the message may have
// come, and what reads it be late as well. It waits again then, or a crowd would
// open ever more RPCs and make all of them slower.
func (t *slot) silent() {
	runtime.Gosched() // a timer's goroutine is before all that wait for a processor; after this it is behind them
	t.mu.Lock()
	now := time.Now()
	late := now.Sub(t.due)
	switch {
	case t.taking || t.returned || late < 0:
		t.mu.Unlock()
		return
	case late > silence/25 && now.Sub(t.began) < longestSilence:
		t.due = now.Add(t.silence)
		t.quiet.Reset(t.silence)
		t.mu.Unlock()
		return
	}
	t.mu.Unlock()
	t.giveBack()
}

// silence is how long an RPC may bring nothing. Where RPCs are slow to begin, since
// the backend or this machine is busy, it is longer: else ever more RPCs would be
// opened, and make them slower still.
func (s *Slots) silence() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return min(max(silence, 4*s.usual), longestSilence)
}

// begins notes how long an RPC has taken to its first message.
func (s *Slots) begins(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.usual += (took - s.usual) / 8
}

// accepted says that the backend serves a topic's RPC. One that never ends by
// meeting another log gives its turn back at once.
func (t *slot) accepted(topic *Topic) {
	if t != nil && !topic.home.meets {
		t.giveBack()
	}
}

// moved says that the RPC has sent a message. Until asks, silence does not count: what
// a message waits for here, as a lane, or the pump before the next one, as a client that
// the bridge has not come round to, says nothing of the RPC.
func (t *slot) moved() {
	if t == nil || t.silence == 0 {
		return
	}
	if !t.since.IsZero() {
		t.slots.begins(time.Since(t.since))
		t.since = time.Time{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taking = true; !t.returned {
		t.quiet.Stop()
	}
}

// asks says that the pump waits for the next message of the RPC.
func (t *slot) asks() {
	if t == nil || t.silence == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.taking {
		return // for the first one; its silence began when the RPC was placed
	}
	if t.taking = false; !t.returned {
		t.began = time.Now()
		t.due = t.began.Add(t.silence)
		t.quiet.Reset(t.silence)
	}
}

// wait says that the pump has not read for a while, since the socket of a client
// was slow, or the log was ahead of main. A replay at the pace of a slow client holds up no other one. The time in
// which the bridge has not come round to a client does not count: else a busy
// machine would open ever more RPCs.
func (t *slot) wait(d time.Duration) {
	if t == nil {
		return
	}
	if t.waited += d; t.waited >= max(t.silence, silence) {
		t.giveBack()
	}
}

// giveBack lets the next RPC have the turn. All but the first call do nothing.
func (t *slot) giveBack() {
	if t != nil {
		t.once.Do(t.giveBackOnce)
	}
}

func (t *slot) giveBackOnce() {
	t.mu.Lock()
	if t.returned = true; t.quiet != nil {
		t.quiet.Stop()
	}
	t.mu.Unlock()
	s := t.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.counted {
		s.free++
	}
	s.running--
	l := s.lines[t.family]
	if l.taken--; l.taken == 0 {
		s.serveFirstLocked(l)
	}
	s.serveLocked()
	s.dropLocked(t.family)
}
