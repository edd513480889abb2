package upstream

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// pool holds the connections to one target. It places RPCs by count: a connection's active RPCs
// against the limit that its backend announced (place.go).
//
// Each connection is a grpc.ClientConn of one address (lifetime.go), and the addresses come from
// grpc-go's resolvers (endpoint.go). The pool does not use grpc-go's balancers, since they pick by
// the state of a SubConn. A SubConn reports neither how many streams its server allows nor why it
// cannot connect; the pool reads both from the connection's bytes (settingsConn). Nor can a
// balancer hold several connections to one address, which a stream limit requires.
type pool struct {
	params Params
	target target
	// reconnected is called each time the first connection to an address comes up.
	reconnected func()
	seed        maphash.Seed // of choose
	files       tlsFiles     // of Params.TLS

	resolveEvery time.Duration // how often addresses are looked up
	// lookupDue holds one token: the addresses should be looked up now.
	lookupDue chan struct{}
	stop      context.CancelFunc // ends the goroutines that follow addresses
	moves     atomic.Uint64      // number of RPCs that were moved

	wg sync.WaitGroup // goroutines that follow addresses or close connections

	mu sync.Mutex
	// strikes counts the connections that RPCs have broken, and avoid holds the address that failed
	// the last RPC; both by an RPC's key.
	strikes   *simplelru.LRU[uint64, strikes]
	avoid     *simplelru.LRU[uint64, string]
	apart     int           // number of isolated connections
	changed   chan struct{} // closed and replaced when waiting RPCs should check again
	endpoints []*endpoint
	// generation counts how often a first connection came up.
	generation uint64
	// allDown is set while no connection is up, after one was.
	allDown bool
	// pingEvery is Params.Ping.Every, doubled each time a server refuses it.
	pingEvery time.Duration
	// onlyBusy is set once a server refuses PINGs on connections without RPCs.
	onlyBusy bool
	// settling is set while RPCs wait for the first attempt at each address.
	settling *time.Timer
	// lookupErr is the error of the last lookup, nil if it succeeded.
	lookupErr      error
	lookupFailures uint64
	// loggedUnresolved and loggedMany record that the log has reported a failed lookup, and too
	// many addresses.
	loggedUnresolved, loggedMany bool
	idle                         *time.Timer // nil unless an extra connection is idle
	closed                       bool
}

// newPool returns a pool that has begun to connect.
func newPool(params Params, reconnected func()) (*pool, error) {
	target, err := parseTarget(params.Target)
	if err != nil {
		return nil, &ParamError{"target", err}
	}
	p := &pool{
		params: params, target: target, reconnected: reconnected, seed: maphash.MakeSeed(),
		resolveEvery: cmp.Or(params.resolveEvery, resolveEvery), lookupDue: make(chan struct{}, 1), changed: make(chan struct{}),
		strikes: newRecords[strikes](), avoid: newRecords[string](),
	}
	if params.Ping != nil {
		p.pingEvery = params.Ping.Every
	}
	if params.TLS != nil {
		_, _ = p.files.config(params.TLS, params.Logger) // New has already reported errors
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	if target.builder != nil && !params.Balance.First {
		p.wg.Go(func() { p.resolve(ctx) })
		if params.Balance.Rebalance > 0 {
			p.wg.Go(func() { p.rebalance(ctx) })
		}
		return p, nil
	}
	p.mu.Lock()
	err = p.addEndpointLocked(&endpoint{name: params.Target})
	p.mu.Unlock()
	if err != nil {
		return nil, errors.Join(&ParamError{"target", err}, p.close())
	}
	return p, nil
}

// connectionsLocked iterates over the shared connections to all addresses.
func (p *pool) connectionsLocked() iter.Seq[*connection] {
	return func(yield func(*connection) bool) {
		for _, e := range p.endpoints {
			for _, c := range e.connections {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// all iterates over the connections to an address, except for isolated ones.
func (e *endpoint) all() iter.Seq[*connection] {
	return func(yield func(*connection) bool) {
		for _, connections := range [][]*connection{e.connections, e.replays} {
			for _, c := range connections {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// newestGeneration returns how often a first connection to an address came up.
func (p *pool) newestGeneration() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.generation
}

// signalLocked wakes the RPCs that wait for a slot.
func (p *pool) signalLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// close closes all connections, stops all goroutines and waits for them.
func (p *pool) close() error {
	p.mu.Lock()
	p.closed = true
	connections := slices.Collect(p.connectionsLocked())
	for _, e := range p.endpoints {
		connections = append(connections, e.apart...)
		connections = append(connections, e.replays...)
	}
	timers := []*time.Timer{p.idle, p.settling}
	for _, c := range connections {
		if c.live != nil {
			timers = append(timers, c.live.timer)
		}
	}
	for _, timer := range timers {
		if timer != nil {
			timer.Stop()
		}
	}
	p.signalLocked()
	p.mu.Unlock()
	p.stop()
	err := p.closeAll(connections)
	p.wg.Wait()
	return err
}

// closeAll closes connections and waits for their watch goroutines. The caller must not hold the
// lock, since a watch goroutine may need it to end.
func (p *pool) closeAll(connections []*connection) error {
	errs := make([]error, 0, len(connections))
	for _, c := range connections {
		p.markClosing(c)
		c.cancel()
		errs = append(errs, c.cc.Close())
		<-c.watched
		p.mu.Lock()
		c.ready = false // its watch may have ended before it saw that
		p.mu.Unlock()
	}
	return errors.Join(errs...)
}
