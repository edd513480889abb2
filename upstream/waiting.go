package upstream

import (
	"context"
	"fmt"
	"slices"
)

// waitLocked waits for a change. It releases the lock meanwhile.
func (p *pool) waitLocked(ctx context.Context) error {
	changed := p.changed
	p.mu.Unlock()
	defer p.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reasonLocked returns why no RPC can be placed now.
func (p *pool) reasonLocked() *waitError {
	ready, active := 0, 0
	lastErr := p.lookupErr
	for c := range p.connectionsLocked() {
		switch {
		case c.usable():
			ready++
			active += c.active
		case c.mute:
			lastErr = ErrSilent
		case c.lastErr != nil:
			lastErr = c.lastErr
		}
	}
	switch {
	case ready > 0:
		return &waitError{
			what:  fmt.Sprintf("all %d streams that the backend allows are in use", active),
			cause: lastErr,
		}
	case lastErr != nil:
		return &waitError{what: "no connection", cause: fmt.Errorf("%s: %w", p.params.Target, lastErr)}
	default:
		return &waitError{what: "no connection", cause: fmt.Errorf("%s does not answer", p.params.Target)}
	}
}

// failures counts the failed lookups and the failed attempts to connect to each address.
type failures struct {
	lookups uint64
	each    map[*endpoint]uint64
}

func (p *pool) failuresLocked() failures {
	f := failures{p.lookupFailures, make(map[*endpoint]uint64, len(p.endpoints))}
	for _, e := range p.endpoints {
		f.each[e] = e.failures
	}
	return f
}

// failedSinceLocked reports whether no connection is up and an attempt has failed
// for each address since f.
func (p *pool) failedSinceLocked(f failures) bool {
	if len(p.endpoints) == 0 {
		return p.lookupFailures > f.lookups
	}
	for _, e := range p.endpoints {
		if e.ready() || e.failures <= f.each[e] {
			return false
		}
	}
	return true
}

// unreachable returns why no connection is up, or nil if one is.
func (p *pool) unreachable() *waitError {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readyLocked() {
		return nil
	}
	return p.reasonLocked()
}

// awaitReady waits until a connection is up.
func (p *pool) awaitReady(ctx context.Context) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.closed {
			return false
		}
		if p.readyLocked() {
			return true
		}
		if p.waitLocked(ctx) != nil {
			return false
		}
	}
}

func (p *pool) readyLocked() bool {
	return slices.ContainsFunc(p.endpoints, (*endpoint).ready)
}
