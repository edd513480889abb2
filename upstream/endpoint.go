package upstream

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/serviceconfig"

	"github.com/ssebridge/ssebridge/internal/pause"
)

const (
	// maxEndpoints bounds the addresses of a backend that are connected to. If there are more, each
	// bridge makes its own random choice.
	maxEndpoints = 256
	// settleTime is how long RPCs wait for the first attempt to connect to each of several
	// addresses. Without it, all RPCs of a start would go to the address that answers first.
	settleTime = 250 * time.Millisecond
)

// endpoint is one address of a backend with the connections to it. pool.mu guards its fields,
// except for the first two.
type endpoint struct {
	// name is the address as logs and metrics show it.
	name string
	// resolved is the resolver's result; nil if the target itself is dialed.
	resolved *resolver.Endpoint

	// connections has Params.Connections, or one and more as the backend's stream limit requires.
	// It is empty once the endpoint is removed.
	connections []*connection
	// active is the number of RPCs on them, except for those that read the schema.
	active int
	// gone is set while the resolver does not name the address. It gets no new RPC if another
	// address has room.
	gone bool
	// failures is the number of attempts to connect that failed.
	failures uint64
	// apart holds the isolated connections of RPCs that break theirs.
	apart []*connection
	// replays holds the connections of replaying RPCs. No further one is opened before noReplays.
	replays   []*connection
	noReplays time.Time
	// faults records the failures of RPCs at the address.
	faults faults
	// tried is set when the first attempt to connect has succeeded or failed, and reached once one
	// has succeeded.
	tried, reached bool
	// family is the IP version of the address, 4 or 6; 0 if it has none.
	family int
}

// familyOf returns the IP version of an address.
func familyOf(name string) int {
	addr, err := netip.ParseAddrPort(name)
	switch {
	case err != nil:
		return 0
	case addr.Addr().Unmap().Is4():
		return 4
	default:
		return 6
	}
}

// foreignLocked reports whether no address of the endpoint's IP version has ever been reached while
// the other version works. Then this machine has no route for that version, or the backends do not
// listen on it. That is no failure of a backend.
func (p *pool) foreignLocked(e *endpoint) bool {
	if e.family == 0 || e.reached {
		return false
	}
	works := false
	for _, other := range p.endpoints {
		switch {
		case other.family == e.family && other.reached:
			return false
		case other.family != e.family && other.family != 0:
			works = works || other.ready()
		}
	}
	return works
}

// ready reports whether a connection to the address is up and its server answers.
func (e *endpoint) ready() bool {
	return slices.ContainsFunc(e.connections, (*connection).usable)
}

// pick returns a connection with room, or nil. With a fixed number of connections it balances them.
// Otherwise it takes the first with room, so that those opened for a peak become idle afterwards.
func (e *endpoint) pick(fixed bool) *connection {
	var best *connection
	for _, c := range e.connections {
		if !c.room() {
			continue
		}
		if !fixed {
			return c
		}
		if best == nil || c.active < best.active {
			best = c
		}
	}
	return best
}

// growing reports whether a further connection is being established.
func (e *endpoint) growing() bool {
	return e.ready() && slices.ContainsFunc(e.connections, func(c *connection) bool { return !c.ready })
}

// full reports whether all connections are up and carry as many RPCs as the backend allows.
func (e *endpoint) full() bool {
	for _, c := range e.connections {
		if !c.usable() || c.limit == 0 || c.room() {
			return false
		}
	}
	return len(e.connections) > 0
}

// connect makes idle connections connect.
func (e *endpoint) connect() {
	for _, c := range e.connections {
		c.cc.Connect()
	}
}

// log returns a logger that names the target and, if the target has several, the address.
func (p *pool) log(e *endpoint) *slog.Logger {
	if e == nil || e.resolved == nil {
		return p.params.Logger.With("target", p.params.Target)
	}
	return p.params.Logger.With("target", p.params.Target, "address", e.name)
}

// endpointName returns the address or addresses of an endpoint. Endpoints with the same name are
// the same endpoint.
func endpointName(e resolver.Endpoint) string {
	names := make([]string, 0, len(e.Addresses))
	for _, a := range e.Addresses {
		name := a.Addr
		if a.ServerName != "" {
			name += "/" + a.ServerName
		}
		names = append(names, name)
	}
	return strings.Join(names, ",")
}

// endpointsOf returns the distinct endpoints of a resolver's result.
func endpointsOf(state resolver.State) []resolver.Endpoint {
	found := state.Endpoints
	if len(found) == 0 {
		for _, a := range state.Addresses {
			found = append(found, resolver.Endpoint{Addresses: []resolver.Address{a}})
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(found), func(e resolver.Endpoint) bool {
		name := endpointName(e)
		drop := len(e.Addresses) == 0 || seen[name]
		seen[name] = true
		return drop
	})
}

// choose keeps maxEndpoints of the endpoints. The choice is random and stays the same for this
// process, independent of the resolver's order.
func (p *pool) choose(found []resolver.Endpoint) []resolver.Endpoint {
	if len(found) <= maxEndpoints {
		return found
	}
	rank := func(e resolver.Endpoint) uint64 { return maphash.String(p.seed, endpointName(e)) }
	slices.SortFunc(found, func(a, b resolver.Endpoint) int { return cmp.Compare(rank(a), rank(b)) })
	return found[:maxEndpoints]
}

// update adopts a resolver's result. RPCs on addresses that it no longer names go on.
func (p *pool) update(state resolver.State) error {
	all := endpointsOf(state)
	if len(all) == 0 {
		err := errors.New("the resolver found no address")
		p.unresolved(err)
		return err
	}
	found := p.choose(all)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errClosed
	}
	if len(found) < len(all) && !p.loggedMany {
		p.loggedMany = true
		p.params.Logger.Warn("the target has too many addresses, and a random choice of them is used",
			"target", p.params.Target, "addresses", len(all), "used", len(found))
	}
	p.lookupErr, p.loggedUnresolved = nil, false
	named := make(map[string]bool, len(found))
	var errs []error
	added := 0
	for _, f := range found {
		name := endpointName(f)
		named[name] = true
		if e := p.endpointLocked(name); e != nil {
			if e.gone {
				e.gone = false
				e.connect()
			}
			continue
		}
		if err := p.addEndpointLocked(&endpoint{name: name, resolved: &f}); err != nil {
			errs = append(errs, err)
			continue
		}
		added++
	}
	for _, e := range p.endpoints {
		e.gone = !named[e.name]
	}
	if first := len(p.endpoints) == added; first && added > 1 {
		p.settleLocked()
	}
	p.sweepLocked()
	p.signalLocked()
	return errors.Join(errs...)
}

// unresolved records a failed lookup. The known addresses stay.
func (p *pool) unresolved(err error) {
	p.mu.Lock()
	p.lookupErr = clip(err)
	p.lookupFailures++
	logged := p.loggedUnresolved
	p.loggedUnresolved = true
	p.signalLocked()
	p.mu.Unlock()
	if !logged {
		p.params.Logger.Warn("cannot resolve the target, retrying", "target", p.params.Target, "error", clip(err))
	}
}

func (p *pool) endpointLocked(name string) *endpoint {
	for _, e := range p.endpoints {
		if e.name == name {
			return e
		}
	}
	return nil
}

// addEndpointLocked connects to a further address.
func (p *pool) addEndpointLocked(e *endpoint) error {
	e.family = familyOf(e.name)
	for range max(p.params.Connections, 1) {
		if err := p.addLocked(e); err != nil {
			p.retireLocked(e.connections)
			return err
		}
	}
	p.endpoints = append(p.endpoints, e)
	return nil
}

// settleLocked makes RPCs wait until each address that is not up has been tried, at most for
// settleTime.
func (p *pool) settleLocked() {
	if p.settling != nil {
		return
	}
	for _, e := range p.endpoints {
		e.tried = e.ready()
	}
	p.settling = time.AfterFunc(settleTime, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.settling = nil
		p.signalLocked()
	})
	p.settledLocked()
}

// settledLocked ends the wait once all addresses have been tried.
func (p *pool) settledLocked() {
	waits := slices.ContainsFunc(p.endpoints, func(e *endpoint) bool { return !e.tried && !e.gone })
	if p.settling == nil || waits {
		return
	}
	p.settling.Stop()
	p.settling = nil
	p.signalLocked()
}

// triedLocked records the result of an attempt to connect to e. When the first of several addresses
// comes up again after all were down, the pool tries the others at once, so that not all waiting
// RPCs go to the first one.
func (p *pool) triedLocked(e *endpoint, up bool) {
	e.tried = true
	e.reached = e.reached || up
	alone := up && !slices.ContainsFunc(p.endpoints, func(other *endpoint) bool { return other != e && other.ready() })
	if alone && p.allDown && len(p.endpoints) > 1 {
		p.settleLocked()
		for _, other := range p.endpoints {
			for _, c := range other.connections {
				if !c.ready {
					c.cc.ResetConnectBackoff()
				}
			}
		}
	}
	p.settledLocked()
}

// sweepLocked closes the connections of addresses that are gone and have no RPC.
func (p *pool) sweepLocked() {
	p.endpoints = slices.DeleteFunc(p.endpoints, func(e *endpoint) bool {
		if !e.gone || e.active > 0 {
			return false
		}
		for _, c := range slices.Clone(e.apart) {
			p.retireApartLocked(c) // its RPC has not begun yet
		}
		for _, c := range slices.Clone(e.replays) {
			p.retireReplaysLocked(c)
		}
		p.retireLocked(e.connections)
		e.connections = nil
		return true
	})
}

// retireLocked closes connections in the background.
func (p *pool) retireLocked(connections []*connection) {
	if len(connections) == 0 || p.closed {
		return
	}
	p.wg.Go(func() {
		if err := p.closeAll(connections); err != nil {
			p.params.Logger.Warn("closing connections", "error", err)
		}
	})
}

// fixedResolver is a resolver.Builder and resolver.Resolver of one endpoint. It passes the endpoint
// to grpc-go as the target's own resolver returned it, with the attributes and the server name that
// handshakes may need.
type fixedResolver struct {
	endpoint  resolver.Endpoint
	authority string
}

const fixedScheme = "address"

func (o fixedResolver) Build(_ resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	return o, cc.UpdateState(resolver.State{Addresses: o.endpoint.Addresses, Endpoints: []resolver.Endpoint{o.endpoint}})
}

func (fixedResolver) Scheme() string { return fixedScheme }

// OverrideAuthority returns the target's authority: RPCs name a backend by its name, not by an
// address.
func (o fixedResolver) OverrideAuthority(resolver.Target) string { return o.authority }

func (fixedResolver) ResolveNow(resolver.ResolveNowOptions) {}

func (fixedResolver) Close() {}

// resolverConn is a resolver.ClientConn that passes on a resolver's results.
type resolverConn struct {
	found  func(resolver.State) error
	failed func(error)
}

func (f resolverConn) UpdateState(state resolver.State) error { return f.found(state) }

func (f resolverConn) ReportError(err error) { f.failed(err) }

func (f resolverConn) NewAddress(addresses []resolver.Address) {
	_ = f.found(resolver.State{Addresses: addresses}) // the interface returns no error
}

// ParseServiceConfig fails: a name server's answer must not change how RPCs are made.
func (resolverConn) ParseServiceConfig(string) *serviceconfig.ParseResult {
	return &serviceconfig.ParseResult{Err: errors.New("service configurations are not used")}
}

// resolve keeps the addresses up to date until ctx ends.
func (p *pool) resolve(ctx context.Context) {
	if p.target.builder.Scheme() == "dns" {
		p.poll(ctx)
		return
	}
	for between := p.params.retryFirst(); ; between = min(2*between, p.params.retryLast()) {
		r, err := p.target.builder.Build(p.target.url, resolverConn{p.update, p.unresolved}, p.buildOptions())
		if err == nil {
			p.remind(ctx, r)
			r.Close()
			return
		}
		p.unresolved(err)
		if pause.For(ctx, between) != nil {
			return
		}
	}
}

// remind makes a resolver that reports by itself resolve again: every resolveEvery, and when a
// connection is lost.
func (p *pool) remind(ctx context.Context, r resolver.Resolver) {
	for p.lookAgain(ctx, p.resolveEvery) {
		r.ResolveNow(resolver.ResolveNowOptions{})
		if pause.For(ctx, minLookupPause) != nil {
			return
		}
	}
}

// poll looks a name up: every resolveEvery, when a connection is lost or cannot be established, and
// after failures. Each lookup uses a new resolver: grpc-go's DNS resolver asks no sooner than 30 s
// after an answer, a bound that can only be changed for the whole process, and backs off to two
// minutes after failures, so a backend that has moved would be unreachable for as long.
func (p *pool) poll(ctx context.Context) {
	retry := p.params.retryFirst()
	for {
		err := p.lookUp(ctx)
		if ctx.Err() != nil {
			return
		}
		again := p.resolveEvery
		if err != nil {
			again, retry = jitter(retry), min(2*retry, p.params.retryLast())
		} else {
			retry = p.params.retryFirst()
			if pause.For(ctx, min(minLookupPause, again)) != nil {
				return
			}
		}
		if !p.lookAgain(ctx, again) {
			return
		}
	}
}

const (
	// resolveEvery is short of 30 s, so that a new address has its connection within 30 s. Up to a
	// tenth of it is jitter.
	resolveEvery = 27 * time.Second
	// minLookupPause is the shortest time between two lookups after one that succeeded.
	minLookupPause = time.Second
	// lookupTimeout bounds one lookup.
	lookupTimeout = 10 * time.Second
)

// lookUp looks the addresses up once.
func (p *pool) lookUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	type result struct {
		state resolver.State
		err   error
	}
	results := make(chan result, 1) // takes the first result; then the resolver is closed
	report := func(r result) {
		select {
		case results <- r:
		default:
		}
	}
	r, err := p.target.builder.Build(p.target.url, resolverConn{
		found:  func(state resolver.State) error { report(result{state: state}); return nil },
		failed: func(err error) { report(result{err: err}) },
	}, p.buildOptions())
	if err != nil {
		p.unresolved(err)
		return err
	}
	defer r.Close()
	got := result{err: errors.New("no answer")}
	select {
	case got = <-results:
	case <-ctx.Done():
	}
	if got.err == nil && len(endpointsOf(got.state)) == 0 {
		// grpc-go's resolver reports a name that does not exist as an empty result.
		got.err = errors.New("no address")
	}
	if got.err != nil {
		err := &prefixedError{"lookup " + p.target.url.Endpoint(), got.err}
		p.unresolved(err)
		return err
	}
	return p.update(got.state)
}

func (p *pool) buildOptions() resolver.BuildOptions {
	return resolver.BuildOptions{DisableServiceConfig: true, Authority: p.authority()}
}

// lookAgain waits until the addresses should be looked up again, at most for d. It returns false
// when ctx ends.
func (p *pool) lookAgain(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d - jitter(d/10))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.lookupDue:
	case <-ctx.Done():
		return false
	}
	return true
}

// resolveSoon requests a lookup of the addresses.
func (p *pool) resolveSoon() {
	select {
	case p.lookupDue <- struct{}{}:
	default:
	}
}
