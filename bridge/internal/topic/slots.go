package topic

import (
	"container/list"
	"context"
	"runtime"
	"sync"
	"time"
)

// silence is how long a catch-up's RPC may send nothing before its slot goes to another one. An RPC
// that replays sends a message sooner. One that only waits for new messages, at the newest cursor
// of a quiet stream or at a cursor that a client made up, would keep the slot for hours.
const silence = 250 * time.Millisecond

// longestSilence bounds silence for an upstream whose RPCs are slow to begin.
const longestSilence = 5 * time.Second

// Slots bounds the catch-up RPCs that replay at once, over all topics of a backend
// (limits.catchups). It does not bound RPCs that wait for messages: Limits.Topics does. A family
// always gets one slot, so that the catch-ups of a slow service do not delay those of another one
// behind the same backend.
type Slots struct {
	mu      sync.Mutex
	limit   int
	free    int           // negative after the limit was lowered below the slots that are taken
	running int           // slots that are taken, counted or not
	usual   time.Duration // from an RPC's place to its first message, on average
	lines   map[*family]*line
	waiting list.List // of *waiter, of all families, in the order in which they came
}

// line is a family's part of the slots. It exists while the family has a slot or waits for one.
type line struct {
	taken   int
	waiting list.List // of *waiter
}

// waiter is a catch-up that waits for a slot. It is in two lists, that of all waiters and that of
// its family, so that the next one of all, or of a family, is found without a search.
type waiter struct {
	family     *family
	slot       chan *slot // holds one; never closed
	inAll, own *list.Element
}

// NewSlots returns slots for so many RPCs.
func NewSlots(atOnce int) *Slots {
	return &Slots{limit: atOnce, free: atOnce, lines: map[*family]*line{}}
}

// SetLimit changes the number of slots. Slots that are taken stay taken; a higher number serves
// those that wait.
func (s *Slots) SetLimit(atOnce int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free += atOnce - s.limit
	s.limit = atOnce
	s.serveLocked()
}

// slot is the right of one RPC to replay. Its methods may be called on nil.
type slot struct {
	slots   *Slots
	family  *family
	counted bool // it is not the one that a family always gets
	once    sync.Once
	waited  time.Duration // how long the pump has not read, in all; the pump's own
	since   time.Time     // when the RPC was placed; zero once it has sent a message; the pump's own
	silence time.Duration // written before quiet is made

	mu       sync.Mutex
	quiet    *time.Timer // calls silent; nil until the RPC is placed
	began    time.Time   // when the silence began that quiet measures
	due      time.Time   // when quiet fires
	taking   bool        // a message has come and the next one is not awaited: there is no silence
	returned bool        // the slot was given back
}

// try returns a slot if the family can have one at once, otherwise nil.
func (s *Slots) try(f *family) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if line := s.lines[f]; s.free > 0 || line == nil || line.taken == 0 {
		return s.takeLocked(f)
	}
	return nil
}

// take waits for a slot.
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

// queue puts a waiter behind the others, and serves it if there is a slot.
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

// leaveLocked removes a waiter from the lists.
func (s *Slots) leaveLocked(w *waiter) {
	s.waiting.Remove(w.inAll)
	s.lines[w.family].waiting.Remove(w.own)
}

// dropLocked forgets a family that neither has a slot nor waits for one.
func (s *Slots) dropLocked(f *family) {
	if l := s.lines[f]; l != nil && l.taken == 0 && l.waiting.Len() == 0 {
		delete(s.lines, f)
	}
}

// serveLocked gives the free slots to waiters, in the order in which they came.
func (s *Slots) serveLocked() {
	for s.free > 0 && s.waiting.Len() > 0 {
		s.serveElementLocked(s.waiting.Front())
	}
}

// serveFirstLocked gives a slot to a family's first waiter.
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

// placed notes that the RPC has its place on a connection. Silence counts from now on, whether the
// backend has accepted the RPC or not: many backends send their headers with the first message
// only.
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

// silent gives the slot back, since the RPC has sent nothing for long enough. If this call comes
// late the machine is so busy that the message may have come without being read yet. The slot is
// kept for another silence then: otherwise a crowd of clients would open ever more RPCs and slow
// all of them down.
func (t *slot) silent() {
	runtime.Gosched() // a timer's goroutine runs before others that wait for a processor; after this it is behind them
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

// silence returns how long an RPC may send nothing. It is longer where RPCs are slow to begin,
// since the backend or this machine is busy: otherwise ever more RPCs would be opened, and slow
// them down further.
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

// accepted notes that the backend serves a topic's RPC. An RPC that never ends by meeting another
// log gives its slot back at once.
func (t *slot) accepted(topic *Topic) {
	if t != nil && !topic.home.meets {
		t.giveBack()
	}
}

// moved notes that the RPC has sent a message. It stops the measurement of silence, and asks begins
// it again. In between the message waits in the bridge, for a lane or for a client that the bridge
// has not written to yet, which says nothing about the RPC.
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

// asks notes that the pump waits for the RPC's next message.
func (t *slot) asks() {
	if t == nil || t.silence == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.taking {
		return // the silence before the first message began when the RPC was placed
	}
	if t.taking = false; !t.returned {
		t.began = time.Now()
		t.due = t.began.Add(t.silence)
		t.quiet.Reset(t.silence)
	}
}

// wait notes that the pump has not read for a while, since a client's socket was slow or the log
// was ahead of main: a replay at the pace of a slow client must not delay others. The time in which
// the bridge has not written to a client does not count: a busy machine would open ever more RPCs.
func (t *slot) wait(d time.Duration) {
	if t == nil {
		return
	}
	if t.waited += d; t.waited >= max(t.silence, silence) {
		t.giveBack()
	}
}

// giveBack gives the slot to the next RPC. Calls after the first do nothing.
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
