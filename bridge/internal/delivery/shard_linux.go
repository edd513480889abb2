package delivery

import (
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// membersPerIteration is how many members the loop serves before it looks for other events and yields the
// processor. With a smaller number the loop yields more often: on few processors rounds then take longer,
// since the logs grow meanwhile.
const membersPerIteration = 16

// shard writes to the sockets of many clients from one goroutine, its loop. A client of the shard costs a
// socket and a session, but no goroutine, channel or timer. A write does not block: what the socket does
// not take is written when it has room again.
//
// Three things wake the loop: requests of other goroutines, mostly of the writers of logs; the poller,
// when a socket has room or input, or has ended; and the earliest deadline of a member. A request takes
// no system call. If a log grows during a round, members served later in it get all new frames in one
// write.
type shard struct {
	poller  *poller
	running sync.WaitGroup
	wakeup  chan struct{} // requests is not empty; capacity 1: one signal is enough, and request never blocks
	quit    chan struct{} // closed to end the loop
	ended   chan struct{} // closed when the loop has ended

	mu       sync.Mutex // writers of logs wait for it, so no other lock is taken while it is held
	requests requests
	stopped  bool // the loop takes no more members

	// Used by the loop only.
	now           moment
	timer         *time.Timer
	quitting      bool
	spareRequests requests
	groups        map[*replay.Log]*group
	joining       []*member // members to register
	ready         queue     // groups whose rounds have members left
	behind        []*member // members that have taken stepsInRow steps and may have more to write
	slots         slots
	reached       []reach // measurements that ended in this pass of serveReady
	deadlines     deadlines
}

// requests are what other goroutines want the loop to do.
type requests struct {
	joins     []*member
	grown     []*group
	leaves    []memberLeave
	positions []chan<- []clientPosition // each is sent the members' positions
}

// memberLeave is a request that a member leaves.
type memberLeave struct {
	member *member
	why    reason.Leave
}

func (r *requests) clear() {
	clear(r.joins)
	clear(r.grown)
	clear(r.leaves)
	clear(r.positions)
	r.joins, r.grown, r.leaves, r.positions = r.joins[:0], r.grown[:0], r.leaves[:0], r.positions[:0]
}

func newShard() (*shard, error) {
	poller, err := newPoller()
	if err != nil {
		return nil, err
	}
	s := shardWith(poller)
	s.running.Go(s.run)
	s.running.Go(func() { poller.run(s.ended) })
	return s, nil
}

// shardWith returns a shard without a running loop.
func shardWith(poller *poller) *shard {
	return &shard{
		poller: poller, groups: map[*replay.Log]*group{}, timer: time.NewTimer(0),
		wakeup: make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{}),
	}
}

// request calls add, which adds to the requests, and wakes the loop.
func (s *shard) request(add func(*requests)) {
	s.mu.Lock()
	add(&s.requests)
	s.mu.Unlock()
	select {
	case s.wakeup <- struct{}{}:
	default:
	}
}

// start hands a member over to the loop. It returns false if the loop has ended.
func (s *shard) start(m *member) (started bool) {
	s.request(func(r *requests) {
		if started = !s.stopped; started {
			r.joins = append(r.joins, m)
		}
	})
	return started
}

// canStop reports whether the loop may end. If it returns true, start returns false from then on.
func (s *shard) canStop() bool {
	if !s.quitting || s.slots.len() > 0 || len(s.joining) > 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = len(s.requests.joins) == 0
	return s.stopped
}

// close cuts all streams and waits for the loop. The loop ends once the sockets of complete responses are
// closed, so that these reach their clients, see closeTimeout.
func (s *shard) close() error {
	close(s.quit)
	<-s.ended
	err := s.poller.close()
	s.running.Wait()
	return err
}

func (s *shard) run() {
	defer close(s.ended)
	for !s.canStop() {
		s.wait()
		// Let pumps that wait for a processor append their frames first. Otherwise, with many small
		// streams, the shard would make one write for each event.
		runtime.Gosched()
		s.takeRequests()
		s.registerJoining()
		s.serveReady(membersPerIteration)
		s.serveBehind()
		s.expire()
		if s.quitting {
			s.cutAll()
		}
	}
}

// wait blocks until there is something to do, and handles the poller's events.
func (s *shard) wait() {
	var events []unix.EpollEvent
	if len(s.joining) > 0 || !s.ready.empty() || len(s.behind) > 0 {
		select {
		case events = <-s.poller.events:
		default:
		}
	} else {
		events = s.sleep()
	}
	s.now = clock()
	s.handleEvents(events)
}

func (s *shard) handleEvents(events []unix.EpollEvent) {
	for i := range events {
		if m := s.slots.of(&events[i]); m != nil {
			s.handle(m, eventsOf(&events[i]))
		}
	}
}

// sleep blocks until something wakes the loop. If that is the poller, it returns the poller's events.
func (s *shard) sleep() []unix.EpollEvent {
	var due <-chan time.Time
	if first := s.deadlines.first(); first != never {
		s.timer.Reset(first.since(clock()))
		due = s.timer.C
	}
	quit := s.quit
	if s.quitting {
		quit = nil
	}
	select {
	case <-s.wakeup:
	case events := <-s.poller.events:
		return events
	case <-due:
	case <-quit:
		s.quitting = true
	}
	return nil
}

// takeRequests performs what other goroutines have requested.
func (s *shard) takeRequests() {
	s.mu.Lock()
	taken := s.requests
	s.requests = s.spareRequests
	s.mu.Unlock()
	s.joining = append(s.joining, taken.joins...)
	for _, g := range taken.grown {
		g.grown.Store(false) // before the log is read: growth after this line makes a new request
		if g.beginRound(); !g.queued && g.hasNext() {
			g.queued = true
			s.ready.add(g)
		}
	}
	for _, leave := range taken.leaves {
		m := leave.member
		if m.session == nil {
			continue
		}
		if m.session.askToLeave(leave.why); m.group != nil { // without a group it is served when registered
			s.serve(m)
		}
	}
	for _, answer := range taken.positions {
		answer <- s.positions()
	}
	taken.clear()
	s.spareRequests = taken
}

// serveReady serves up to left members, group by group. A group that still has members to serve moves to
// the back of the queue.
func (s *shard) serveReady(left int) {
	for left > 0 && !s.ready.empty() {
		g := s.ready.take()
		s.observe(g) // a measurement is also complete when the last members that it waits for have left
		for ; left > 0; left-- {
			m := g.next()
			if m == nil {
				break
			}
			s.serve(m)
			s.observe(g)
		}
		if g.queued = g.hasNext(); g.queued {
			s.ready.add(g)
		}
	}
	s.recordReached()
}

// serveBehind serves some of the members in behind.
func (s *shard) serveBehind() {
	some := min(membersPerIteration, len(s.behind))
	for _, m := range s.behind[:some] {
		m.behind = false
		s.serve(m) // may append it to behind again
	}
	s.behind = slices.Delete(s.behind, 0, some)
}

// registerJoining registers some of the new members.
func (s *shard) registerJoining() {
	some := min(membersPerIteration, len(s.joining))
	for _, m := range s.joining[:some] {
		s.register(m)
	}
	s.joining = slices.Delete(s.joining, 0, some)
}

// expire looks at all members whose deadline has passed.
func (s *shard) expire() {
	for m := s.deadlines.due(s.now); m != nil; m = s.deadlines.due(s.now) {
		s.expireMember(m)
	}
}

// register adds a member to its group and the poller, and serves it.
func (s *shard) register(m *member) {
	s.slots.add(m)
	s.joinGroup(m)
	if s.poller.add(int(m.socket), m.tag) != nil {
		s.gone(m)
		return
	}
	m.progressAt = s.now
	s.serve(m)
}

func (s *shard) cutAll() {
	for _, m := range s.slots.members {
		if m != nil && m.session != nil {
			s.abort(m, reason.EndCut)
		}
	}
}

func (s *shard) joinGroup(m *member) {
	log := m.session.log
	g := s.groups[log]
	if g == nil {
		g = newGroup(s, log, m.session.client.Counts)
		s.groups[log] = g
	}
	g.add(m)
}

func (s *shard) leaveGroup(m *member) {
	g := m.group
	if g == nil {
		return
	}
	g.remove(m)
	if g.size == 0 {
		g.unwatch()
		delete(s.groups, g.log)
	}
}

// socketEvents are the events of one socket.
type socketEvents struct{ gone, input, room bool }

func eventsOf(e *unix.EpollEvent) socketEvents {
	return socketEvents{
		gone:  e.Events&(unix.EPOLLERR|unix.EPOLLHUP|unix.EPOLLRDHUP) != 0,
		input: e.Events&unix.EPOLLIN != 0,
		room:  e.Events&unix.EPOLLOUT != 0,
	}
}
