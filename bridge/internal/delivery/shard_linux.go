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

// visits is how many members are served before the shard looks at what else has
// happened, and gives way. Where processors are short, fewer visits make a longer
// round, in which the logs of the members that come last grow.
const visits = 16

// shard writes to the sockets of many clients from one goroutine: to each, in
// one call that does not block, what its log holds behind it. A client costs no
// goroutine, no channel and no timer.
//
// Its loop is woken by the writers of logs, without a system call; by the poller,
// where a socket takes bytes again or has ended; and by the earliest deadline. Logs
// grow during a round, and a member that comes later in it gets more with one call.
type shard struct {
	poller  *poller
	running sync.WaitGroup
	kicked  chan struct{} // asked is not empty; holds one
	quit    chan struct{} // closed when the loop is to end
	ended   chan struct{} // closed when it has

	mu    sync.Mutex // a leaf: held by writers of logs
	asked asked
	over  bool // the loop has ended

	// Owned by the loop.
	now       moment
	timer     *time.Timer
	quitting  bool
	spare     asked
	groups    map[*replay.Log]*group
	came      []*member // members to be welcomed
	round     queue     // those with members to be visited
	behind    []*member // members with more to write than they had steps for
	slots     slots
	reached   []reach // that have reached all, of the visits under way
	deadlines deadlines
}

// asked is what others want of a shard.
type asked struct {
	came  []*member
	grown []*group
	told  []told
	lags  []chan<- []spot // waiting for the members' positions
}

// told is a member that is to be asked to leave.
type told struct {
	member *member
	why    reason.Leave
}

func (a *asked) clear() {
	clear(a.came)
	clear(a.grown)
	clear(a.told)
	clear(a.lags)
	a.came, a.grown, a.told, a.lags = a.came[:0], a.grown[:0], a.told[:0], a.lags[:0]
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

// shardWith returns a shard whose loop does not run.
func shardWith(poller *poller) *shard {
	return &shard{
		poller: poller, groups: map[*replay.Log]*group{}, timer: time.NewTimer(0),
		kicked: make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{}),
	}
}

// ask has the loop look at something.
func (s *shard) ask(add func(*asked)) {
	s.mu.Lock()
	add(&s.asked)
	s.mu.Unlock()
	select {
	case s.kicked <- struct{}{}:
	default:
	}
}

// start begins to serve a member that has its socket. It is false where the
// loop has ended.
func (s *shard) start(m *member) (started bool) {
	s.ask(func(asked *asked) {
		if started = !s.over; started {
			asked.came = append(asked.came, m)
		}
	})
	return started
}

// finished reports whether the loop may end. From then on no member is started.
func (s *shard) finished() bool {
	if !s.quitting || s.slots.len() > 0 || len(s.came) > 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = len(s.asked.came) == 0
	return s.over
}

// close ends the loop: streams are cut, and responses that have ended are given
// the time to reach their clients.
func (s *shard) close() error {
	close(s.quit)
	<-s.ended
	err := s.poller.close()
	s.running.Wait()
	return err
}

// run is the loop.
func (s *shard) run() {
	defer close(s.ended)
	for !s.finished() {
		s.wait()
		// Pumps that wait for a processor run first: else the events of many small
		// streams would each be written with a call of its own.
		runtime.Gosched()
		s.look()
		s.welcomeSome()
		s.goRound(visits)
		s.catchUp()
		s.expireDue()
		if s.quitting {
			s.cutAll()
		}
	}
}

// wait returns when there is something to do.
func (s *shard) wait() {
	var heard []unix.EpollEvent
	if len(s.came) > 0 || !s.round.empty() || len(s.behind) > 0 {
		select {
		case heard = <-s.poller.events:
		default:
		}
	} else {
		heard = s.sleep()
	}
	s.now = clock()
	s.hearAll(heard)
}

// hearAll reacts to the poller's events.
func (s *shard) hearAll(heard []unix.EpollEvent) {
	for i := range heard {
		if m := s.slots.of(&heard[i]); m != nil {
			s.hear(m, eventsOf(&heard[i]))
		}
	}
}

// sleep returns when something has happened, which may be events of sockets.
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
	case <-s.kicked:
	case heard := <-s.poller.events:
		return heard
	case <-due:
	case <-quit:
		s.quitting = true
	}
	return nil
}

// look takes up what was asked.
func (s *shard) look() {
	s.mu.Lock()
	asked := s.asked
	s.asked = s.spare
	s.mu.Unlock()
	s.came = append(s.came, asked.came...)
	for _, g := range asked.grown {
		g.grown.Store(false) // before its log is read
		if g.begin(); !g.queued && g.waits() {
			g.queued = true
			s.round.add(g)
		}
	}
	for _, told := range asked.told {
		m := told.member
		if m.session == nil {
			continue
		}
		if m.session.tell(told.why); m.group != nil { // else it comes soon
			s.serve(m)
		}
	}
	for _, answer := range asked.lags {
		answer <- s.spots()
	}
	asked.clear()
	s.spare = asked
}

// goRound makes a number of visits, group after group. A group with members
// left to visit goes behind the others.
func (s *shard) goRound(left int) {
	for left > 0 && !s.round.empty() {
		g := s.round.take()
		s.observe(g) // members may have left since
		for ; left > 0; left-- {
			m := g.next()
			if m == nil {
				break
			}
			s.serve(m)
			s.observe(g)
		}
		if g.queued = g.waits(); g.queued {
			s.round.add(g)
		}
	}
	s.tellReached()
}

// catchUp gives some of the members that are behind their next steps.
func (s *shard) catchUp() {
	some := min(visits, len(s.behind))
	for _, m := range s.behind[:some] {
		m.behind = false
		s.serve(m) // may put it behind the others
	}
	s.behind = slices.Delete(s.behind, 0, some)
}

// welcomeSome begins to serve some of the new members.
func (s *shard) welcomeSome() {
	some := min(visits, len(s.came))
	for _, m := range s.came[:some] {
		s.welcome(m)
	}
	s.came = slices.Delete(s.came, 0, some)
}

// expireDue looks at the members whose time may have come.
func (s *shard) expireDue() {
	for m := s.deadlines.due(s.now); m != nil; m = s.deadlines.due(s.now) {
		s.expire(m)
	}
}

// welcome begins to serve a member.
func (s *shard) welcome(m *member) {
	s.slots.add(m)
	s.joinGroup(m)
	if s.poller.add(int(m.socket), m.tag) != nil {
		s.gone(m)
		return
	}
	m.moved = s.now
	s.serve(m)
}

// cutAll cuts every stream.
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
		g.ignore()
		delete(s.groups, g.log)
	}
}

// events is what the poller has heard of a socket.
type events struct{ gone, input, room bool }

func eventsOf(e *unix.EpollEvent) events {
	return events{
		gone:  e.Events&(unix.EPOLLERR|unix.EPOLLHUP|unix.EPOLLRDHUP) != 0,
		input: e.Events&unix.EPOLLIN != 0,
		room:  e.Events&unix.EPOLLOUT != 0,
	}
}
