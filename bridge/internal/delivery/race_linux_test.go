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

// lane is a log, and those that follow it, which many clients read.
type lane struct {
	name string

	mu   sync.Mutex
	legs []stretch
}

// stretch is one of a lane's logs. Frames are numbered over all of them.
type stretch struct {
	log  *replay.Log
	base int // the number of the frame before its first
}

func newLane(name string) *lane {
	l := &lane{name: name}
	l.lead(0)
	return l
}

func (l *lane) lead(base int) *replay.Log {
	log := replay.New(replay.Params{Events: 1 << 20, Bytes: 1 << 30})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.legs = append(l.legs, stretch{log, base})
	return log
}

func (l *lane) leg(at int) (s stretch, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at >= len(l.legs) {
		return stretch{}, false
	}
	return l.legs[at], true
}

// write fills a lane, a log after the other, each at full speed when it is told.
func (l *lane) write(logs, frames int, next <-chan struct{}) {
	number := 0
	log := l.legs[0].log
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
			log = l.lead(number)
		}
		ended.Close()
	}
}

// rider is a client's source, and follows a lane.
type rider struct {
	lane *lane
	at   int
}

// Log returns the one that the rider has come to.
func (r *rider) Log() *replay.Log {
	leg, _ := r.lane.leg(r.at)
	return leg.log
}

// Status never changes.
func (*rider) Status() (Status, <-chan struct{}) { return Status{}, nil }

// Watches is false.
func (*rider) Watches() bool { return false }

// Sending does nothing.
func (*rider) Sending(uint64) {}

// Taking is of no use.
func (*rider) Taking() {}

// Progress does nothing.
func (*rider) Progress(uint64) {}

// Pass passes nothing.
func (*rider) Pass(position uint64) (next uint64, more bool) { return position, false }

// Parted is never so.
func (*rider) Parted() bool { return false }

// Move goes to the next log.
func (r *rider) Move() (position uint64, moved bool, err error) {
	if _, more := r.lane.leg(r.at + 1); !more {
		return 0, false, nil
	}
	r.at++
	return 0, true, nil
}

// ride serves a client from where a lane stands.
func (l *lane) ride(gzip bool) *Client {
	r := &rider{lane: l}
	for {
		if _, more := l.leg(r.at + 1); !more {
			break
		}
		r.at++
	}
	leg, _ := l.leg(r.at)
	_, head := leg.log.Bounds()
	return &Client{
		Source: r, Follower: r, Blocks: blocks{beat: "beat\n\n"}, Position: head, Gzip: gzip,
		Policy: Policy{Heartbeat: time.Millisecond},
		First:  fmt.Appendf(nil, "%s %d\n\n", l.name, leg.base+int(head)),
	}
}

// Writers at full speed on many logs, whose clients come, move, and go in every
// manner: nothing is missing, and nothing comes twice.
func TestEverybodyAtOnce(t *testing.T) {
	const lanes, logs, frames, clients = 10, 8, 100, 50
	onWays(t, ways, func(t *testing.T, s *stand) {
		var all []*lane
		for i := range lanes {
			all = append(all, newLane(fmt.Sprint("lane", i)))
		}
		s.client = func(*http.Request) *Client { return all[rand.IntN(lanes)].ride(s.gzip) }
		var writing, reading sync.WaitGroup
		next := make(chan struct{}, lanes*logs)
		for _, lane := range all {
			writing.Go(func() { lane.write(logs, frames, next) })
		}
		for i := range clients {
			next <- struct{}{}
			if i%2 == 0 {
				goer := s.open(t, "")
				reading.Go(func() { leaves(t, goer) })
				continue
			}
			e := s.listen(t)
			reading.Go(func() { expectRide(t, e.awaitEnd(t, true), logs*frames) })
		}
		close(next)
		writing.Wait()
		reading.Wait()
	})
}

// leaves reads a little and goes.
func leaves(t *testing.T, e *ear) {
	if _, err := e.body.Read(make([]byte, 1+rand.IntN(5000))); err != nil {
		t.Error(err)
	}
	if tcp, ok := e.conn.(*net.TCPConn); ok && rand.IntN(2) == 0 {
		_ = tcp.SetLinger(0)
	}
	e.close()
}

// expectRide checks that frames are numbered without a gap, to the last one.
func expectRide(t *testing.T, text string, last int) {
	name, at := "", -1
	for block := range strings.SplitSeq(strings.TrimSuffix(text, "\n\n"), "\n\n") {
		if block == "beat" {
			continue
		}
		var lane string
		var number int
		if _, err := fmt.Sscanf(block, "%s %d", &lane, &number); err != nil {
			t.Errorf("%q: %v", block, err)
			return
		}
		if at >= 0 && (lane != name || number != at+1) {
			t.Errorf("%s %d after %s %d", lane, number, name, at)
			return
		}
		name, at = lane, number
	}
	if at != last {
		t.Errorf("%s ended with %d of %d", name, at, last)
	}
}
