package upstream

import (
	"slices"
	"time"
)

// An address may take connections and fail each RPC at once: a proxy whose backend
// is away, or a process that has not started well. It always has the fewest RPCs,
// so that it would attract all of them. Such an address is set aside: it gets no
// RPCs while another address has none of these troubles. After a pause one RPC
// tries it.
const (
	// maxFailures is how many RPCs in a row an address may fail.
	maxFailures = 3
	// failureAge is how far apart two of them may be.
	failureAge = time.Minute
	// failedSoon is how soon an RPC must end to count. Proxies may take a while to
	// find that their backend is away.
	failedSoon = 30 * time.Second
	// asideFirst and asideLast bound the pause. It is doubled each time that the
	// RPC that tries fails, too.
	asideFirst = time.Second
	asideLast  = 30 * time.Second
	// tryLives is how long the RPC that tries must live to show that the address
	// works, if the backend says nothing.
	tryLives = 10 * time.Second
)

// faults are the failures of an address. They are guarded by pool.mu.
type faults struct {
	count int       // RPCs in a row
	last  time.Time // the newest
	pause time.Duration
	until time.Time // when an RPC may try the address; zero while it is used as others are
	try   *slot     // the RPC that does
	told  time.Time // when the log heard of it last
	tell  bool      // the log is to hear that the address works again
}

// failing reports whether the address has been set aside and has not worked since.
func (f *faults) failing() bool { return !f.until.IsZero() }

// aside reports whether the address gets no RPCs now.
func (f *faults) aside(now time.Time) bool {
	return f.failing() && (f.try != nil || now.Before(f.until))
}

// clear has the address used as others are.
func (f *faults) clear() { *f = faults{told: f.told, tell: f.tell} }

// othersLocked reports whether another address works.
func (p *pool) othersLocked(e *endpoint) bool {
	return slices.ContainsFunc(p.endpoints, func(other *endpoint) bool {
		return other != e && other.shares()
	})
}

// tryLocked notes that an RPC is placed at an address that is set aside: it tries
// whether the address works again.
func (p *pool) tryLocked(s *slot) {
	e := s.connection.endpoint
	if !e.faults.failing() || e.faults.try != nil {
		return
	}
	e.faults.try = s
	s.lives = time.AfterFunc(tryLives, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if e.faults.try == s {
			p.workedLocked(e)
		}
	})
}

// worked records that the backend has answered an RPC.
func (s *slot) worked() {
	if s.pool == nil {
		return
	}
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	s.heard = true
	s.pool.strikes.Remove(s.keys.rpc)
	s.pool.strikes.Remove(s.keys.method)
	s.pool.avoid.Remove(s.keys.rpc)
	s.pool.workedLocked(s.connection.endpoint)
}

func (p *pool) workedLocked(e *endpoint) {
	if e.faults.failing() {
		p.signalLocked()
	}
	if e.faults.tell {
		e.faults.tell = false
		p.log(e).Info("the address works again")
	}
	e.faults.clear()
}

// failed records that an RPC has ended with UNAVAILABLE and without a message.
// The next RPC with its key prefers another address.
func (s *slot) failed() {
	if s.pool == nil || time.Since(s.began) > failedSoon {
		return
	}
	p, e, now := s.pool, s.connection.endpoint, time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.avoid.Add(s.keys.rpc, e.name)
	f := &e.faults
	if now.Sub(f.last) > failureAge && !f.failing() {
		f.count = 0
	}
	f.count, f.last = f.count+1, now
	switch {
	case f.count < maxFailures, f.aside(now) && f.try != s:
		return // the pause has begun with an earlier one
	case !f.failing() && !p.othersLocked(e):
		// All addresses fail. It may be the RPCs that are to blame.
		for _, e := range p.endpoints {
			e.faults.clear()
		}
		return
	case !f.failing():
		f.pause = asideFirst
		if now.Sub(f.told) > failureAge {
			f.told, f.tell = now, true
			p.log(e).Warn("the address fails all RPCs: they go to others, and one tries it from time to time", "rpcs", f.count)
		}
	default:
		f.pause = min(2*f.pause, asideLast)
	}
	f.try, f.until = nil, now.Add(jitter(f.pause))
	p.signalLocked()
}
