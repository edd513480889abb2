package upstream

import (
	"slices"
	"time"
)

// An address may accept connections and fail each RPC at once: a proxy whose backend is down, or a
// process that did not start properly. It always has the fewest RPCs, so it would attract all of
// them. Such an address is set aside: it gets no RPCs while another address works. After a pause, one
// RPC probes it.
const (
	// maxFailures is the number of RPCs in a row that an address may fail.
	maxFailures = 3
	// failureAge is the longest time between two failures in a row.
	failureAge = time.Minute
	// failedSoon bounds the duration of an RPC that counts as a failure. A proxy may take a while
	// to find that its backend is down.
	failedSoon = 30 * time.Second
	// asideFirst and asideLast bound the pause before a probe. The pause doubles with each probe
	// that fails.
	asideFirst = time.Second
	asideLast  = 30 * time.Second
	// probeTime is the time after which a running probe shows that the address works, even if the
	// backend has sent nothing.
	probeTime = 10 * time.Second
)

// faults are the failures of an address. pool.mu guards them.
type faults struct {
	count       int       // failed RPCs in a row
	last        time.Time // when the last one failed
	pause       time.Duration
	nextProbe   time.Time // when an RPC may probe the address; zero if it is not set aside
	probe       *slot     // the RPC that probes the address now
	loggedAt    time.Time // when the log last reported the failures
	logRecovery bool      // the log is to report that the address works again
}

// failing reports whether the address has been set aside and has not worked since.
func (f *faults) failing() bool { return !f.nextProbe.IsZero() }

// aside reports whether the address gets no RPCs now.
func (f *faults) aside(now time.Time) bool {
	return f.failing() && (f.probe != nil || now.Before(f.nextProbe))
}

// clear puts the address back into normal use.
func (f *faults) clear() { *f = faults{loggedAt: f.loggedAt, logRecovery: f.logRecovery} }

// othersLocked reports whether another address works.
func (p *pool) othersLocked(e *endpoint) bool {
	return slices.ContainsFunc(p.endpoints, func(other *endpoint) bool {
		return other != e && other.shares()
	})
}

// probeLocked makes an RPC the probe of its address, if that is set aside and has no probe.
func (p *pool) probeLocked(s *slot) {
	e := s.connection.endpoint
	if !e.faults.failing() || e.faults.probe != nil {
		return
	}
	e.faults.probe = s
	s.probeTimer = time.AfterFunc(probeTime, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if e.faults.probe == s {
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
	s.gotMessage = true
	s.pool.strikes.Remove(s.keys.rpc)
	s.pool.strikes.Remove(s.keys.method)
	s.pool.avoid.Remove(s.keys.rpc)
	s.pool.workedLocked(s.connection.endpoint)
}

// workedLocked puts an address that was set aside back into use.
func (p *pool) workedLocked(e *endpoint) {
	if e.faults.failing() {
		p.signalLocked()
	}
	if e.faults.logRecovery {
		e.faults.logRecovery = false
		p.log(e).Info("the address works again")
	}
	e.faults.clear()
}

// failed records that an RPC ended with UNAVAILABLE and without a message. The next RPC with its
// key prefers another address.
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
	case f.count < maxFailures, f.aside(now) && f.probe != s:
		return // an earlier failure has begun the pause
	case !f.failing() && !p.othersLocked(e):
		// All addresses fail, so the RPCs may be the cause.
		for _, e := range p.endpoints {
			e.faults.clear()
		}
		return
	case !f.failing():
		f.pause = asideFirst
		if now.Sub(f.loggedAt) > failureAge {
			f.loggedAt, f.logRecovery = now, true
			p.log(e).Warn("the address fails all RPCs: they go to others, and one probes it from time to time", "rpcs", f.count)
		}
	default:
		f.pause = min(2*f.pause, asideLast)
	}
	f.probe, f.nextProbe = nil, now.Add(jitter(f.pause))
	p.signalLocked()
}
