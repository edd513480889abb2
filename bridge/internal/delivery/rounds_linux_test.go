package delivery

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// Each schedule of TestEveryFrameReachesEveryAbleMemberInItsRound has this many
// rounds, and each call of rapid.Check plays 100 schedules. The race detector
// leaves time for a part of them.
const roundsOfSchedule = 50

func scheduleSets() int {
	if raceEnabled {
		return 1
	}
	return 20
}

// The test plays the shard's loop step by step, with one visit a step, over
// real sockets. At every step a client may join, leave, be asked to leave, be
// cut, stop or begin to read; a log may end, so that its clients move to the
// next one; and a status may change.
//
// Two properties hold. A frame reaches each member that was there when it came,
// and whose socket takes bytes, within as many visits as the group had members
// then. And when nothing is left to do, each client that reads has read all
// frames of its log and knows its status.
func TestEveryFrameReachesEveryAbleMemberInItsRound(t *testing.T) {
	rounds := 0
	for range scheduleSets() {
		rapid.Check(t, func(t *rapid.T) {
			m := newRoundsModel(t)
			defer m.close()
			for range roundsOfSchedule {
				m.round(t)
				rounds++
			}
		})
	}
	t.Logf("%d rounds", rounds)
}

// roundsModel is a shard whose loop the test plays, its logs and its clients.
type roundsModel struct {
	shard   *shard
	lanes   []*modelLane
	clients []*modelClient
	buffer  [256 << 10]byte
}

// modelLane is a log and those that its clients move on to when it ends.
type modelLane struct{ legs []*modelLeg }

func (l *modelLane) last() *modelLeg { return l.legs[len(l.legs)-1] }

type modelLeg struct {
	log    *replay.Log
	frames int
	status Status
}

func newModelLeg() *modelLeg {
	return &modelLeg{log: replay.New(replay.Params{Events: 1 << 20, Bytes: 1 << 30})}
}

// modelClient is a client's side of its connection, and its Source and Follower.
type modelClient struct {
	lane   *modelLane
	leg    int // of the lane, that the bridge serves the client from
	member *member
	socket int
	reads  bool // else its socket fills up
	asked  bool // to leave, or cut

	raw   []byte // has been read, and is not a whole chunk yet
	atLeg int    // of the lane, that the client has read from
	got   int    // frames of it
	stale bool
	left  bool // it was asked to leave
	ended bool // its stream has ended, by what the bridge says
	gone  bool // it has closed its side
}

func newRoundsModel(t *rapid.T) *roundsModel {
	poller, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	m := &roundsModel{shard: shardWith(poller)}
	m.shard.now = clock()
	for range 3 {
		m.lanes = append(m.lanes, &modelLane{[]*modelLeg{newModelLeg()}})
	}
	return m
}

func (m *roundsModel) close() {
	m.shard.cutAll()
	for _, c := range m.clients {
		c.close()
	}
	_ = m.shard.poller.close()
}

// round lets a frame come, changes things while it is on its way, and checks
// that it arrives.
func (m *roundsModel) round(t *rapid.T) {
	for range rapid.IntRange(0, 2).Draw(t, "changes before") {
		m.change(t, m.lanes[rapid.IntRange(0, len(m.lanes)-1).Draw(t, "lane")], nil)
	}
	m.settle(t)
	lane := m.lanes[rapid.IntRange(0, len(m.lanes)-1).Draw(t, "lane")]
	leg := lane.last()
	present := m.members(leg.log)
	m.append(leg, 0)
	at, frame := len(lane.legs)-1, uint64(leg.frames)
	changes := rapid.IntRange(0, 3).Draw(t, "changes")
	for visit := range present {
		for changes > 0 && rapid.IntRange(0, len(present)).Draw(t, "change now") <= visit+1 {
			changes--
			m.change(t, lane, leg)
		}
		m.step(1)
	}
	for _, c := range present {
		if c.member.session != nil && !c.member.full && c.leg == at && c.member.session.client.Position < frame {
			t.Fatalf("a member of %d has not got a frame after as many visits", len(present))
		}
	}
	m.settle(t)
}

// members are the clients that a log's group has.
func (m *roundsModel) members(log *replay.Log) (all []*modelClient) {
	for _, c := range m.clients {
		if c.member.group != nil && c.member.group.log == log {
			all = append(all, c)
		}
	}
	return all
}

// step is one step of the shard's loop.
func (m *roundsModel) step(visits int) {
	s := m.shard
	s.hearAll(m.poll())
	s.look()
	s.welcomeSome()
	s.goRound(visits)
	s.catchUp()
	s.expireDue()
}

func (m *roundsModel) poll() (heard []unix.EpollEvent) {
	heard = make([]unix.EpollEvent, 64)
	n := 0
	err := m.shard.poller.control(func(epoll int) (err error) {
		n, err = unix.EpollWait(epoll, heard, 0)
		return err
	})
	if err != nil {
		panic(err)
	}
	return heard[:n]
}

// idle reports whether the loop would sleep.
func (m *roundsModel) idle() bool {
	s := m.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked.came)+len(s.asked.grown)+len(s.asked.told)+len(s.came)+len(s.behind) == 0 && s.round.empty()
}

// settle plays the loop until it sleeps and no client has anything to read, and
// checks what the clients have read.
func (m *roundsModel) settle(t *rapid.T) {
	for steps, quiet := 0, false; !quiet; steps++ {
		if steps > 1000 {
			t.Fatal("the loop does not come to rest")
		}
		m.step(visits)
		if quiet = m.idle(); !quiet {
			continue
		}
		for _, c := range m.clients {
			if c.reads && c.read(t, m.buffer[:]) && c.member.full {
				quiet = false // its socket takes bytes again
			}
		}
	}
	left := m.clients[:0]
	for _, c := range m.clients {
		c.check(t)
		if c.ended && (c.reads || c.gone) {
			c.close()
			continue
		}
		left = append(left, c)
	}
	m.clients = left
	m.step(visits) // sees which clients have closed
}

// change changes something about a lane's clients. No other log than only
// changes, unless that is nil: its group would take turns with the one whose
// visits are counted.
func (m *roundsModel) change(t *rapid.T, lane *modelLane, only *modelLeg) {
	action := rapid.IntRange(0, 20).Draw(t, "action")
	if action <= 3 {
		if len(m.clients) < 8 {
			m.join(t, lane, action == 0, action == 1)
		}
		return
	}
	leg := lane.last()
	if action <= 8 && only != nil && only != leg {
		return
	}
	switch action {
	case 4:
		m.append(leg, 0)
		return
	case 5:
		leg.log.Notify() // nothing has changed
		return
	case 6:
		leg.status.Stale = !leg.status.Stale
		leg.log.Notify()
		return
	case 7:
		lane.legs = append(lane.legs, newModelLeg())
		leg.log.Close()
		return
	case 8: // more than a member's steps in a row
		for range 6 {
			m.append(leg, batch)
		}
		return
	case 9: // deadlines: heartbeats, and full sockets are cut
		m.shard.now = m.shard.now.after(time.Minute)
		return
	}
	if len(m.clients) == 0 {
		return
	}
	c := m.clients[rapid.IntRange(0, len(m.clients)-1).Draw(t, "client")]
	switch action {
	case 10, 11, 12, 13:
		c.reads = !c.reads
	case 14, 15, 16:
		c.gone, c.asked = true, true
		c.close()
	default:
		c.asked = true
		if rapid.Bool().Draw(t, "cut") {
			c.member.cut()
		} else {
			c.member.tell(reason.LeaveDrain)
		}
	}
}

func (m *roundsModel) append(leg *modelLeg, size int) {
	leg.frames++
	leg.log.Append(fmt.Appendf(nil, "%d\n%s\n", leg.frames, strings.Repeat(" ", size)), "")
}

// join lets a client come, at the beginning or at the head of a log; a narrow
// one has a small buffer, which soon is full while the client does not read.
func (m *roundsModel) join(t *rapid.T, lane *modelLane, replayed, narrow bool) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if narrow {
		if err := unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 1); err != nil {
			t.Fatal(err)
		}
	}
	c := &modelClient{lane: lane, leg: len(lane.legs) - 1, socket: pair[1], reads: !narrow}
	c.atLeg = c.leg
	client := &Client{
		Source: c, Follower: c, Blocks: blocks{beat: "beat\n\n"}, First: []byte("first\n\n"),
		Policy: Policy{WriteTimeout: 30 * time.Second, Heartbeat: 50 * time.Second},
	}
	if !replayed {
		c.got = lane.last().frames
		client.Position = uint64(c.got)
	}
	c.member = &member{
		session: newSession(client, newForm(false, true), m.shard.now),
		shard:   m.shard, socket: socket(pair[0]), place: -1, heard: nothing,
		done: func(reason.End) { c.ended = true },
	}
	c.member.session.arrive(Shard)
	m.clients = append(m.clients, c)
	if !m.shard.start(c.member) {
		t.Fatal("the loop has ended")
	}
}

// read reads what there is, and reports whether there was something.
func (c *modelClient) read(t *rapid.T, buffer []byte) (some bool) {
	for !c.gone {
		n, err := unix.Read(c.socket, buffer)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return some
		case err != nil || n == 0:
			if !c.asked && !c.ended {
				t.Fatalf("the stream ended: %v", err)
			}
			return some
		}
		some = true
		c.raw = append(c.raw, buffer[:n]...)
		c.parse(t)
		if n < len(buffer) {
			return some // what comes next has an event
		}
	}
	return some
}

// parse takes the whole chunks from what has been read.
func (c *modelClient) parse(t *rapid.T) {
	for {
		line, rest, ok := bytes.Cut(c.raw, []byte("\r\n"))
		if !ok {
			return
		}
		size, err := strconv.ParseUint(string(line), 16, 31)
		if err != nil {
			t.Fatalf("chunk size %q", line)
		}
		if len(rest) < int(size)+2 {
			return
		}
		if block, _, ok := bytes.Cut(rest[:size], []byte("\n")); ok {
			c.take(t, string(block))
		}
		c.raw = rest[size+2:]
	}
}

// take takes a block.
func (c *modelClient) take(t *rapid.T, block string) {
	switch block {
	case "first", "beat":
	case "stale", "live":
		c.stale = block == "stale"
	case "leave drain":
		c.left = true
	default:
		for c.got == c.lane.legs[c.atLeg].frames && c.atLeg < len(c.lane.legs)-1 {
			c.atLeg, c.got = c.atLeg+1, 0
		}
		if c.got++; block != strconv.Itoa(c.got) {
			t.Fatalf("read frame %s, want %d of leg %d", block, c.got, c.atLeg)
		}
	}
}

// check checks a client when the loop sleeps.
func (c *modelClient) check(t *rapid.T) {
	switch {
	case c.ended && !c.asked && c.reads && !c.left && !c.member.full:
		t.Fatal("a stream ended by itself")
	case c.ended || !c.reads || c.gone:
		return
	}
	last := len(c.lane.legs) - 1
	for c.atLeg < last && c.got == c.lane.legs[c.atLeg].frames {
		c.atLeg, c.got = c.atLeg+1, 0
	}
	leg := c.lane.last()
	if c.atLeg != last || c.got != leg.frames {
		t.Fatalf("the loop sleeps, and a client that reads has %d of %d frames, on leg %d of %d; full: %t",
			c.got, c.lane.legs[c.atLeg].frames, c.atLeg, last, c.member.full)
	}
	if c.stale != leg.status.Stale {
		t.Fatalf("the loop sleeps, and a client knows stale %t, not %t", c.stale, leg.status.Stale)
	}
	if c.member.group == nil || c.member.group.log != leg.log {
		t.Fatal("a client is with no group, or with another log's")
	}
}

func (c *modelClient) close() {
	if c.socket >= 0 {
		_ = unix.Close(c.socket)
		c.socket = -1
	}
}

// Log returns the log that the client is served from.
func (c *modelClient) Log() *replay.Log { return c.lane.legs[c.leg].log }

// Status returns that of the log.
func (c *modelClient) Status() (Status, <-chan struct{}) { return c.lane.legs[c.leg].status, nil }

// Watches is false.
func (*modelClient) Watches() bool { return false }

// Sending does nothing.
func (*modelClient) Sending(uint64) {}

// Taking is of no use.
func (*modelClient) Taking() {}

// Progress does nothing.
func (*modelClient) Progress(uint64) {}

// Pass passes nothing.
func (*modelClient) Pass(position uint64) (next uint64, more bool) { return position, false }

// Parted is never so.
func (*modelClient) Parted() bool { return false }

// Move goes to the lane's next log.
func (c *modelClient) Move() (position uint64, moved bool, err error) {
	if c.leg == len(c.lane.legs)-1 {
		return 0, false, nil
	}
	c.leg++
	return 0, true, nil
}
