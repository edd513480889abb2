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

// roundsOfSchedule is the number of rounds in a schedule. rapid.Check plays 100 schedules. With the race
// detector there is time for a part of them.
const roundsOfSchedule = 50

func scheduleSets() int {
	if raceEnabled {
		return 1
	}
	return 20
}

// The test plays the shard's loop step by step over real sockets and serves one member in each step. At
// every step a client may join, leave, be asked to leave, be cut, or stop or resume reading; a log may end,
// so that its clients move to the next one; and a status may change.
//
// Two properties hold. Each member that is in the group when a frame is appended, and whose socket has
// room, gets the frame within as many steps as the group has members. When there is nothing left to do,
// each client that reads has all frames of its log and knows its status.
func TestAFrameReachesEveryMemberWithRoomInOneRound(t *testing.T) {
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

// roundsModel is a shard whose loop the test plays, with its logs and clients.
type roundsModel struct {
	shard   *shard
	chains  []*modelChain
	clients []*modelClient
	buffer  [256 << 10]byte
}

// modelChain is a sequence of logs. When one ends, its clients move to the next.
type modelChain struct{ links []*modelLink }

func (l *modelChain) last() *modelLink { return l.links[len(l.links)-1] }

type modelLink struct {
	log    *replay.Log
	frames int
	status Status
}

func newModelLink() *modelLink {
	return &modelLink{log: replay.New(replay.Params{Events: 1 << 20, Bytes: 1 << 30})}
}

// modelClient is the client's side of a connection, and its Source and Follower.
type modelClient struct {
	chain  *modelChain
	link   int // that the bridge serves the client from
	member *member
	socket int
	reads  bool // otherwise its socket fills up
	asked  bool // it was asked to leave or was cut

	raw    []byte // the start of a chunk
	atLink int    // that the client has read from
	got    int    // frames read from that link
	stale  bool
	left   bool // it has read the request to leave
	ended  bool // Done was called
	gone   bool // it has closed its side
}

func newRoundsModel(t *rapid.T) *roundsModel {
	poller, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	m := &roundsModel{shard: shardWith(poller)}
	m.shard.now = clock()
	for range 3 {
		m.chains = append(m.chains, &modelChain{[]*modelLink{newModelLink()}})
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

// round appends a frame, makes changes while it is written, and checks that it arrives.
func (m *roundsModel) round(t *rapid.T) {
	for range rapid.IntRange(0, 2).Draw(t, "changes before") {
		m.change(t, m.chains[rapid.IntRange(0, len(m.chains)-1).Draw(t, "chain")], nil)
	}
	m.settle(t)
	chain := m.chains[rapid.IntRange(0, len(m.chains)-1).Draw(t, "chain")]
	link := chain.last()
	present := m.members(link.log)
	m.append(link, 0)
	at, frame := len(chain.links)-1, uint64(link.frames)
	changes := rapid.IntRange(0, 3).Draw(t, "changes")
	for served := range present {
		for changes > 0 && rapid.IntRange(0, len(present)).Draw(t, "change now") <= served+1 {
			changes--
			m.change(t, chain, link)
		}
		m.step(1)
	}
	for _, c := range present {
		if c.member.session != nil && !c.member.full && c.link == at && c.member.session.client.Position < frame {
			t.Fatalf("a member of %d has not received a frame after as many steps", len(present))
		}
	}
	m.settle(t)
}

// members returns the clients in a log's group.
func (m *roundsModel) members(log *replay.Log) (all []*modelClient) {
	for _, c := range m.clients {
		if c.member.group != nil && c.member.group.log == log {
			all = append(all, c)
		}
	}
	return all
}

// step runs one iteration of the shard's loop.
func (m *roundsModel) step(members int) {
	s := m.shard
	s.handleEvents(m.poll())
	s.takeRequests()
	s.registerJoining()
	s.serveReady(members)
	s.serveBehind()
	s.expire()
}

func (m *roundsModel) poll() (events []unix.EpollEvent) {
	events = make([]unix.EpollEvent, 64)
	n := 0
	err := m.shard.poller.control(func(epoll int) (err error) {
		n, err = unix.EpollWait(epoll, events, 0)
		return err
	})
	if err != nil {
		panic(err)
	}
	return events[:n]
}

// idle reports whether the loop would sleep.
func (m *roundsModel) idle() bool {
	s := m.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests.joins)+len(s.requests.grown)+len(s.requests.leaves)+len(s.joining)+len(s.behind) == 0 && s.ready.empty()
}

// settle runs the loop until it would sleep and no client has anything to read. It then checks what the
// clients have read.
func (m *roundsModel) settle(t *rapid.T) {
	for steps, quiet := 0, false; !quiet; steps++ {
		if steps > 1000 {
			t.Fatal("the loop does not come to rest")
		}
		m.step(membersPerIteration)
		if quiet = m.idle(); !quiet {
			continue
		}
		for _, c := range m.clients {
			if c.reads && c.read(t, m.buffer[:]) && c.member.full {
				quiet = false // its socket has room again
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
	m.step(membersPerIteration) // notices clients that have closed
}

// change makes a random change to the clients of a chain. If only is not nil, no other log changes: its
// group would share the steps that the caller counts.
func (m *roundsModel) change(t *rapid.T, chain *modelChain, only *modelLink) {
	action := rapid.IntRange(0, 20).Draw(t, "action")
	if action <= 3 {
		if len(m.clients) < 8 {
			m.join(t, chain, action == 0, action == 1)
		}
		return
	}
	link := chain.last()
	if action <= 8 && only != nil && only != link {
		return
	}
	switch action {
	case 4:
		m.append(link, 0)
		return
	case 5:
		link.log.Notify() // a notice without a change
		return
	case 6:
		link.status.Stale = !link.status.Stale
		link.log.Notify()
		return
	case 7:
		chain.links = append(chain.links, newModelLink())
		link.log.Close()
		return
	case 8: // more than stepsInRow
		for range 6 {
			m.append(link, batchBytes)
		}
		return
	case 9: // deadlines pass: heartbeats are due, and clients with full sockets are cut
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
			c.member.askToLeave(reason.LeaveDrain)
		}
	}
}

func (m *roundsModel) append(link *modelLink, size int) {
	link.frames++
	link.log.Append(fmt.Appendf(nil, "%d\n%s\n", link.frames, strings.Repeat(" ", size)), "")
}

// join adds a client at the beginning or at the head of a log. A narrow client has a small buffer and does
// not read, so that its socket soon is full.
func (m *roundsModel) join(t *rapid.T, chain *modelChain, replayed, narrow bool) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if narrow {
		if err := unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 1); err != nil {
			t.Fatal(err)
		}
	}
	c := &modelClient{chain: chain, link: len(chain.links) - 1, socket: pair[1], reads: !narrow}
	c.atLink = c.link
	client := &Client{
		Source: c, Follower: c, Blocks: blocks{beat: "beat\n\n"}, First: []byte("first\n\n"),
		Policy: Policy{WriteTimeout: 30 * time.Second, Heartbeat: 50 * time.Second},
	}
	if !replayed {
		c.got = chain.last().frames
		client.Position = uint64(c.got)
	}
	c.member = &member{
		session: newSession(client, newEncoder(false, true), m.shard.now),
		shard:   m.shard, socket: socket(pair[0]), heapIndex: -1, notices: noNotices,
		done: func(reason.End) { c.ended = true },
	}
	c.member.session.countArrival(Shard)
	m.clients = append(m.clients, c)
	if !m.shard.start(c.member) {
		t.Fatal("the loop has ended")
	}
}

// read reads what is there, and reports whether anything was.
func (c *modelClient) read(t *rapid.T, buffer []byte) (found bool) {
	for !c.gone {
		n, err := unix.Read(c.socket, buffer)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return found
		case err != nil || n == 0:
			if !c.asked && !c.ended {
				t.Fatalf("the stream ended: %v", err)
			}
			return found
		}
		found = true
		c.raw = append(c.raw, buffer[:n]...)
		c.parse(t)
		if n < len(buffer) {
			return found // input after this causes an event
		}
	}
	return found
}

// parse takes complete chunks from raw.
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

// take processes one block.
func (c *modelClient) take(t *rapid.T, block string) {
	switch block {
	case "first", "beat":
	case "stale", "live":
		c.stale = block == "stale"
	case "leave drain":
		c.left = true
	default:
		for c.got == c.chain.links[c.atLink].frames && c.atLink < len(c.chain.links)-1 {
			c.atLink, c.got = c.atLink+1, 0
		}
		if c.got++; block != strconv.Itoa(c.got) {
			t.Fatalf("read frame %s, want %d of link %d", block, c.got, c.atLink)
		}
	}
}

// check compares a client with its log when the loop would sleep.
func (c *modelClient) check(t *rapid.T) {
	switch {
	case c.ended && !c.asked && c.reads && !c.left && !c.member.full:
		t.Fatal("a stream ended by itself")
	case c.ended || !c.reads || c.gone:
		return
	}
	last := len(c.chain.links) - 1
	for c.atLink < last && c.got == c.chain.links[c.atLink].frames {
		c.atLink, c.got = c.atLink+1, 0
	}
	link := c.chain.last()
	if c.atLink != last || c.got != link.frames {
		t.Fatalf("the loop sleeps, and a client that reads has %d of %d frames, on link %d of %d; full: %t",
			c.got, c.chain.links[c.atLink].frames, c.atLink, last, c.member.full)
	}
	if c.stale != link.status.Stale {
		t.Fatalf("the loop sleeps, and a client knows stale %t, not %t", c.stale, link.status.Stale)
	}
	if c.member.group == nil || c.member.group.log != link.log {
		t.Fatal("a client is in no group, or in another log's")
	}
}

func (c *modelClient) close() {
	if c.socket >= 0 {
		_ = unix.Close(c.socket)
		c.socket = -1
	}
}

// Log returns the log that the client is served from.
func (c *modelClient) Log() *replay.Log { return c.chain.links[c.link].log }

// Status returns the log's status.
func (c *modelClient) Status() (Status, <-chan struct{}) { return c.chain.links[c.link].status, nil }

// Watches returns false.
func (*modelClient) Watches() bool { return false }

// Sending does nothing.
func (*modelClient) Sending(uint64) {}

// Taking does nothing.
func (*modelClient) Taking() {}

// Progress does nothing.
func (*modelClient) Progress(uint64) {}

// Pass passes nothing.
func (*modelClient) Pass(position uint64) (next uint64, more bool) { return position, false }

// Parted returns false.
func (*modelClient) Parted() bool { return false }

// Move moves to the next log of the chain.
func (c *modelClient) Move() (position uint64, moved bool, err error) {
	if c.link == len(c.chain.links)-1 {
		return 0, false, nil
	}
	c.link++
	return 0, true, nil
}
