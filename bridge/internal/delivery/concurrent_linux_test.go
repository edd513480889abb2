package delivery

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// chain is a sequence of logs that many clients read.
type chain struct {
	name string

	mu    sync.Mutex
	links []chainLink
}

// chainLink is one log of a chain. Frames are numbered across the logs.
type chainLink struct {
	log  *replay.Log
	base int // the number of the last frame before it
}

func newChain(name string) *chain {
	l := &chain{name: name}
	l.addLog(0)
	return l
}

func (l *chain) addLog(base int) *replay.Log {
	log := replay.New(replay.Params{Events: 1 << 20, Bytes: 1 << 30})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.links = append(l.links, chainLink{log, base})
	return log
}

func (l *chain) link(at int) (s chainLink, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at >= len(l.links) {
		return chainLink{}, false
	}
	return l.links[at], true
}

// write fills the logs of a chain one after another, each at full speed after a signal of next.
func (l *chain) write(logs, frames int, next <-chan struct{}) {
	number := 0
	log := l.links[0].log
	for i := range logs {
		<-next
		for range frames {
			number++
			log.Append(fmt.Appendf(nil, "%s %d\n\n", l.name, number), "")
			if number%10 == 0 {
				log.Notify()
			}
		}
		ended := log
		if i < logs-1 {
			log = l.addLog(number)
		}
		ended.Close()
	}
}

// chainSource is the Source and Follower of one client of a chain.
type chainSource struct {
	chain *chain
	at    int
}

// Log returns the client's current log.
func (r *chainSource) Log() *replay.Log {
	current, _ := r.chain.link(r.at)
	return current.log
}

// Status never changes.
func (*chainSource) Status() (Status, <-chan struct{}) { return Status{}, nil }

// Watches returns false.
func (*chainSource) Watches() bool { return false }

// Sending does nothing.
func (*chainSource) Sending(uint64) {}

// Taking does nothing.
func (*chainSource) Taking() {}

// Progress does nothing.
func (*chainSource) Progress(uint64) {}

// Pass passes nothing.
func (*chainSource) Pass(position uint64) (next uint64, more bool) { return position, false }

// Parted returns false.
func (*chainSource) Parted() bool { return false }

// Move moves to the next log.
func (r *chainSource) Move() (position uint64, moved bool, err error) {
	if _, more := r.chain.link(r.at + 1); !more {
		return 0, false, nil
	}
	r.at++
	return 0, true, nil
}

// client returns a client that starts at the chain's head.
func (l *chain) client(gzip bool) *Client {
	r := &chainSource{chain: l}
	for {
		if _, more := l.link(r.at + 1); !more {
			break
		}
		r.at++
	}
	current, _ := l.link(r.at)
	_, head := current.log.Bounds()
	return &Client{
		Source: r, Follower: r, Blocks: blocks{beat: "beat\n\n"}, Position: head, Gzip: gzip,
		Policy: Policy{Heartbeat: time.Millisecond},
		First:  fmt.Appendf(nil, "%s %d\n\n", l.name, current.base+int(head)),
	}
}

// Writers run at full speed on many logs while clients come, move and leave. No client misses a frame or
// gets one twice.
func TestConcurrentWritersAndClients(t *testing.T) {
	const chains, logs, frames, clients = 10, 8, 100, 50
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		var all []*chain
		for i := range chains {
			all = append(all, newChain(fmt.Sprint("chain", i)))
		}
		s.client = func(*http.Request) *Client { return all[rand.IntN(chains)].client(s.gzip) }
		var writing, reading sync.WaitGroup
		next := make(chan struct{}, chains*logs)
		for _, c := range all {
			writing.Go(func() { c.write(logs, frames, next) })
		}
		for i := range clients {
			next <- struct{}{}
			if i%2 == 0 {
				leaving := s.open(t, "")
				reading.Go(func() { readSomeAndClose(t, leaving) })
				continue
			}
			e := s.connect(t)
			reading.Go(func() { expectConsecutive(t, e.awaitEnd(t, true), logs*frames) })
		}
		close(next)
		writing.Wait()
		reading.Wait()
	})
}

// readSomeAndClose reads a part of the response and closes the connection.
func readSomeAndClose(t *testing.T, e *socketClient) {
	if _, err := e.body.Read(make([]byte, 1+rand.IntN(5000))); err != nil {
		t.Error(err)
	}
	if tcp, ok := e.conn.(*net.TCPConn); ok && rand.IntN(2) == 0 {
		_ = tcp.SetLinger(0)
	}
	e.close()
}

// expectConsecutive checks that the frames are numbered without a gap up to last.
func expectConsecutive(t *testing.T, text string, last int) {
	name, at := "", -1
	for block := range strings.SplitSeq(strings.TrimSuffix(text, "\n\n"), "\n\n") {
		if block == "beat" {
			continue
		}
		var chain string
		var number int
		if _, err := fmt.Sscanf(block, "%s %d", &chain, &number); err != nil {
			t.Errorf("%q: %v", block, err)
			return
		}
		if at >= 0 && (chain != name || number != at+1) {
			t.Errorf("%s %d after %s %d", chain, number, name, at)
			return
		}
		name, at = chain, number
	}
	if at != last {
		t.Errorf("%s ended with %d of %d", name, at, last)
	}
}
