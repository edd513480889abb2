package upstream

import (
	"cmp"
	"errors"
	"hash/maphash"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// maxStrikes is how often an RPC may break its connection. Then it is not opened
	// beside others any more.
	maxStrikes = 2
	// maxApart bounds the connections for RPCs with strikes. Half of them are for
	// RPCs with maxStrikes. Further RPCs share them.
	maxApart = 16
	// maxRecords bounds the RPCs that are remembered, for strikes and for failures.
	maxRecords = 1024
	// recordAge is how long strikes are remembered after the last.
	recordAge = 10 * time.Minute

	// suspectAge bounds how long before a loss an RPC may have been opened to be
	// the cause of it. An answer that breaks its connection comes soon.
	suspectAge = 10 * time.Second
	// suspectAtOnce is how long before a loss an RPC was begun to be the cause
	// before any that waits to be accepted for longer.
	suspectAtOnce = 250 * time.Millisecond
	// maxSuspects bounds the suspects of one loss.
	maxSuspects = 64
	// maxRecent is how many RPCs are suspects for having been begun last.
	maxRecent = 16
)

// strikes counts the connections that the RPCs with one key have broken, or the
// requests of a method that have maxStrikes.
type strikes struct {
	count int
	last  time.Time
}

// keys are what an RPC is remembered by.
type keys struct {
	rpc    uint64 // of its method and request, over all times that it is opened
	method uint64 // of its method, whatever the request
}

func (p *pool) keys(call Call) keys {
	request := call.Base
	if request == nil {
		request = call.Request
	}
	var h maphash.Hash
	h.SetSeed(p.seed)
	_, _ = h.WriteString(call.Method) // maphash never fails
	k := keys{method: h.Sum64()}
	_ = h.WriteByte(0)
	_, _ = h.Write(request)
	k.rpc = h.Sum64()
	return k
}

// newRecords returns an empty memory of RPCs, by their keys.
func newRecords[T any]() *simplelru.LRU[uint64, T] {
	records, err := simplelru.NewLRU[uint64, T](maxRecords, nil)
	if err != nil {
		panic(err) // the size is positive
	}
	return records
}

// strikesLocked returns how many connections the RPCs with these keys have broken.
//
// Where a method breaks its connection whatever it is asked for, each new request
// would cost the others a connection. So once maxStrikes requests of a method have
// maxStrikes each, and none of the method has been answered since, all others are
// suspects from their beginning.
func (p *pool) strikesLocked(k keys) int {
	if count := p.recordedLocked(k.rpc); count > 0 {
		return count
	}
	if p.recordedLocked(k.method) >= maxStrikes {
		return 1
	}
	return 0
}

// recordedLocked returns the strikes that are remembered for one key.
func (p *pool) recordedLocked(key uint64) int {
	s, ok := p.strikes.Peek(key)
	if !ok || time.Since(s.last) > recordAge {
		return 0
	}
	return s.count
}

// strikeLocked records that an RPC has broken its connection.
func (p *pool) strikeLocked(s *slot, err error) {
	count := p.recordedLocked(s.keys.rpc) + 1
	p.strikes.Add(s.keys.rpc, strikes{count, time.Now()})
	if count == maxStrikes {
		p.strikes.Add(s.keys.method, strikes{p.recordedLocked(s.keys.method) + 1, time.Now()})
		p.log(s.connection.endpoint).Warn("an RPC has broken its connection again: from now on it gets a connection of its own, so that others lose nothing",
			"method", s.method, "error", clip(err))
	}
}

// broke records that an RPC has broken its connection, as its answer shows.
func (s *slot) broke(err error) {
	if s.pool == nil {
		return
	}
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	s.pool.strikeLocked(s, err)
}

// ended records the end of a transport, before its RPCs end. If the server has
// ended it, and no frame shows which RPC is the cause, those that were begun just
// before are suspects. err is what reading has ended with, nil if
// grpc-go closes the transport.
func (p *pool) ended(c *connection, l *liveConn, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || c.closing || l.blamed.Load() || l.dead.Load() || l.leaving.Load() || !hungUp(err) {
		return
	}
	if err == nil {
		if time.Since(l.lastRead()) >= suspectAge {
			return // an unanswered PING of grpc-go's
		}
		err = errHTTP2
	}
	var struck []uint64 // one loss is one strike, however many such RPCs were begun
	for _, s := range c.suspects(time.Now()) {
		if !slices.Contains(struck, s.keys.rpc) {
			struck = append(struck, s.keys.rpc)
			p.strikeLocked(s, err)
		}
	}
}

// hungUp reports whether a connection has ended so that its server may be the
// cause. Else it is the network, or this side.
func hungUp(err error) bool {
	switch {
	case err == nil:
		return true
	case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, ErrSilent):
		return false
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// suspects returns the RPCs of which one has most probably made the server end the
// connection: those that were begun just before. An RPC that has received a message
// is not one of them, since after a loss many are begun at once. An RPC that has a
// shared connection to itself is not one: it has disturbed no other.
func (c *connection) suspects(now time.Time) []*slot {
	if c.active < 2 && !c.apart {
		return nil
	}
	var found []*slot
	add := func(s *slot) {
		if !s.heard && now.Sub(s.began) <= suspectAtOnce && len(found) < maxSuspects && !slices.Contains(found, s) {
			found = append(found, s)
		}
	}
	for _, s := range slices.Backward(c.recent) {
		add(s)
	}
	for s := range c.starting {
		add(s)
	}
	for stream := range c.opening {
		add(stream.slot)
	}
	if len(found) > 0 {
		return found
	}
	newest := func(age time.Duration, unheard bool) *slot {
		for _, s := range slices.Backward(c.recent) {
			if now.Sub(s.began) <= age && (!unheard || !s.heard) {
				return s
			}
		}
		return nil
	}
	if s := cmp.Or(
		newest(suspectAtOnce, false), c.unaccepted(now.Add(-suspectAge)),
		newest(suspectAge, true), newest(suspectAge, false)); s != nil {
		return []*slot{s}
	}
	return nil
}

// unaccepted returns the newest RPC since then that is not accepted.
func (c *connection) unaccepted(since time.Time) *slot {
	var newest *slot
	for stream := range c.opening {
		if s := stream.slot; s.began.After(since) && (newest == nil || s.began.After(newest.began)) {
			newest = s
		}
	}
	return newest
}

// begunLocked notes an RPC that is placed or begun now.
func (c *connection) begunLocked(s *slot) {
	c.overLocked(s)
	if len(c.recent) == maxRecent {
		c.recent = slices.Delete(c.recent, 0, 1)
	}
	c.recent = append(c.recent, s)
	s.began = time.Now()
}

// overLocked forgets an RPC that has ended.
func (c *connection) overLocked(s *slot) {
	c.recent = slices.DeleteFunc(c.recent, func(other *slot) bool { return other == s })
}
