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
	// maxStrikes is how often an RPC may break its connection before each further try is isolated.
	maxStrikes = 2
	// maxApart bounds the isolated connections for RPCs with strikes. Half of them are reserved for
	// RPCs with maxStrikes. Further RPCs share them.
	maxApart = 16
	// maxRecords bounds the RPCs that are remembered for strikes and for failures.
	maxRecords = 1024
	// recordAge is how long strikes are remembered after the last one.
	recordAge = 10 * time.Minute

	// suspectAge is the longest time between the opening of an RPC and a loss that it may have
	// caused. An answer that breaks its connection comes soon.
	suspectAge = 10 * time.Second
	// suspectAtOnce is the age below which an RPC is suspected before any that has waited longer to
	// be accepted.
	suspectAtOnce = 250 * time.Millisecond
	// maxSuspects bounds the suspects of one loss.
	maxSuspects = 64
	// maxRecent is the number of most recently begun RPCs that may be suspects.
	maxRecent = 16
)

// strikes counts the connections that the RPCs with one key have broken, or the requests of a
// method that have maxStrikes.
type strikes struct {
	count int
	last  time.Time
}

// keys identify an RPC in the pool's records.
type keys struct {
	rpc    uint64 // hash of its method and base request, the same each time it is opened
	method uint64 // hash of its method
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

// newRecords returns empty records by RPC key.
func newRecords[T any]() *simplelru.LRU[uint64, T] {
	records, err := simplelru.NewLRU[uint64, T](maxRecords, nil)
	if err != nil {
		panic(err) // the size is positive
	}
	return records
}

// strikesLocked returns how many connections the RPCs with these keys have broken.
//
// If a method breaks its connection for every request, each new request would cost the other RPCs a
// connection. So once maxStrikes requests of a method have maxStrikes each, and none of the method
// has been answered since, all other requests of it are suspects from the start.
func (p *pool) strikesLocked(k keys) int {
	if count := p.recordedLocked(k.rpc); count > 0 {
		return count
	}
	if p.recordedLocked(k.method) >= maxStrikes {
		return 1
	}
	return 0
}

// recordedLocked returns the recorded strikes of one key.
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

// ended records the end of a transport, before its RPCs end. If the server has ended it, and no
// frame shows which RPC is the cause, the RPCs that began just before are suspects. err is the
// error of reading, nil if grpc-go closes the transport.
func (p *pool) ended(c *connection, l *liveConn, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || c.closing || l.blamed.Load() || l.dead.Load() || l.leaving.Load() || !hungUp(err) {
		return
	}
	if err == nil {
		if time.Since(l.lastRead()) >= suspectAge {
			return // grpc-go's keepalive PING was not answered
		}
		err = errHTTP2
	}
	var struck []uint64 // one loss is one strike, even if several such RPCs began
	for _, s := range c.suspects(time.Now()) {
		if !slices.Contains(struck, s.keys.rpc) {
			struck = append(struck, s.keys.rpc)
			p.strikeLocked(s, err)
		}
	}
}

// hungUp reports whether the server may be the cause of a connection's end. Otherwise the network
// or this side is.
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

// suspects returns the RPCs of which one most probably made the server end the connection: those
// that began within suspectAtOnce and have received no message, since after a loss many RPCs begin
// at once. If there are none, it returns the most likely single RPC. An RPC that had a shared
// connection to itself is no suspect: it has disturbed no other.
func (c *connection) suspects(now time.Time) []*slot {
	if c.active < 2 && !c.apart {
		return nil
	}
	var found []*slot
	add := func(s *slot) {
		if !s.gotMessage && now.Sub(s.began) <= suspectAtOnce && len(found) < maxSuspects && !slices.Contains(found, s) {
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
	newest := func(age time.Duration, withoutMessage bool) *slot {
		for _, s := range slices.Backward(c.recent) {
			if now.Sub(s.began) <= age && (!withoutMessage || !s.gotMessage) {
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

// unaccepted returns the newest RPC that began after since and is not accepted.
func (c *connection) unaccepted(since time.Time) *slot {
	var newest *slot
	for stream := range c.opening {
		if s := stream.slot; s.began.After(since) && (newest == nil || s.began.After(newest.began)) {
			newest = s
		}
	}
	return newest
}

// begunLocked records an RPC that is placed or begins now.
func (c *connection) begunLocked(s *slot) {
	c.forgetSlotLocked(s)
	if len(c.recent) == maxRecent {
		c.recent = slices.Delete(c.recent, 0, 1)
	}
	c.recent = append(c.recent, s)
	s.began = time.Now()
}

// forgetSlotLocked removes an RPC that has ended from the recent ones.
func (c *connection) forgetSlotLocked(s *slot) {
	c.recent = slices.DeleteFunc(c.recent, func(other *slot) bool { return other == s })
}
