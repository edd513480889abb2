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
)

const (
	// maxEndpoints bounds the addresses of a backend that are connected to. Of
	// more, each bridge takes a random choice of its own.
	maxEndpoints = 256
	// settleTime is how long RPCs wait for the first attempt to connect to each
	// of several addresses. Without it all RPCs of a start would go to the
	// address that answers first.
	settleTime = 250 * time.Millisecond
)

// endpoint is one address of a backend, with the connections to it. Its fields
// but the first two are guarded by pool.mu.
type endpoint struct {
	// name is how logs and metrics call the address.
	name string
	// resolved is what the resolver found; nil if the target itself is dialed.
	resolved *resolver.Endpoint

	// connections has Params.Connections, or one and more as the backend's
	// stream limit asks for. It is empty once the endpoint is removed.
	connections []*connection
	// active is the number of RPCs on them, those that read the schema left out.
	active int
	// gone is set while the resolver does not name the address. It gets no new
	// RPC if another address has room.
	gone bool
	// failures counts the attempts to connect that failed.
	failures uint64
	// apart are the connections of RPCs that break theirs.
	apart []*connection
	// replays are the connections of RPCs that replay, and noReplays is until when no
	// further one is opened.
	replays   []*connection
	noReplays time.Time
	// faults is what RPCs have met at the address.
	faults faults
	// tried is set when the first attempt to connect has succeeded or failed, and
	// reached once one has succeeded.
	tried, reached bool
	// family is the version of IP of the address; 0 if it has none.
	family int
}

// familyOf is the version of IP of an address.
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

// foreignLocked reports whether the endpoint is of a version of IP by which no address
// of the target has ever been reached, while another version works: this machine has
// no way there, or the backends do not listen to it. That is no failure of a backend.
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

// ready reports whether a connection to the address is up and its server alive.
func (e *endpoint) ready() bool {
	return slices.ContainsFunc(e.connections, (*connection).usable)
}

// pick returns a connection with room, or nil. A fixed number of connections is
// used evenly. Else the first with room is taken, so that those opened for a
// peak become idle after it.
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

// full reports whether all connections are up and carry as many RPCs as the
// backend allows.
func (e *endpoint) full() bool {
	for _, c := range e.connections {
		if !c.usable() || c.limit == 0 || c.room() {
			return false
		}
	}
	return len(e.connections) > 0
}

// connect has connections that are idle connect.
func (e *endpoint) connect() {
	for _, c := range e.connections {
		c.cc.Connect()
	}
}

// log names the address where the target has several.
func (p *pool) log(e *endpoint) *slog.Logger {
	if e == nil || e.resolved == nil {
		return p.params.Logger.With("target", p.params.Target)
	}
	return p.params.Logger.With("target", p.params.Target, "address", e.name)
}

// endpointName is the address, or the addresses, of an endpoint. Two endpoints
// with the same name are the same.
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

// endpointsOf are the endpoints of what a resolver found, each once.
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

// choose keeps maxEndpoints of more. The choice is random and stays the same
// for this process, whatever the resolver's order.
func (p *pool) choose(found []resolver.Endpoint) []resolver.Endpoint {
	if len(found) <= maxEndpoints {
		return found
	}
	rank := func(e resolver.Endpoint) uint64 { return maphash.String(p.seed, endpointName(e)) }
	slices.SortFunc(found, func(a, b resolver.Endpoint) int { return cmp.Compare(rank(a), rank(b)) })
	return found[:maxEndpoints]
}

// update takes what the resolver found. RPCs on addresses that it does not name
// any more go on.
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
	if len(found) < len(all) && !p.toldMany {
		p.toldMany = true
		p.params.Logger.Warn("the target has too many addresses, and a random choice of them is used",
			"target", p.params.Target, "addresses", len(all), "used", len(found))
	}
	p.lookupErr, p.toldUnresolved = nil, false
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

// unresolved notes that the addresses could not be found. Those that are known
// stay.
func (p *pool) unresolved(err error) {
	p.mu.Lock()
	p.lookupErr = clip(err)
	p.lookupFailures++
	told := p.toldUnresolved
	p.toldUnresolved = true
	p.signalLocked()
	p.mu.Unlock()
	if !told {
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

// settleLocked has RPCs wait until each address that is not up has been tried,
// at most for settleTime.
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

// triedLocked notes the result of an attempt to connect to e. When the first
// address of several is up again after all were down, the others are tried at
// once, so that not all RPCs that wait go to that one.
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

// retireLocked closes connections without waiting for it.
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

// one is a resolver.Builder and resolver.Resolver of one endpoint, which it
// hands to grpc-go as the target's own resolver found it: with the attributes
// and the server name that handshakes may need.
type one struct {
	endpoint  resolver.Endpoint
	authority string
}

const oneScheme = "address"

func (o one) Build(_ resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	return o, cc.UpdateState(resolver.State{Addresses: o.endpoint.Addresses, Endpoints: []resolver.Endpoint{o.endpoint}})
}

func (one) Scheme() string { return oneScheme }

// OverrideAuthority is the target's authority: a backend is called by its name
// and not by one of its addresses.
func (o one) OverrideAuthority(resolver.Target) string { return o.authority }

func (one) ResolveNow(resolver.ResolveNowOptions) {}

func (one) Close() {}

// findings passes on what a resolver finds. It is a resolver.ClientConn.
type findings struct {
	found  func(resolver.State) error
	failed func(error)
}

func (f findings) UpdateState(state resolver.State) error { return f.found(state) }

func (f findings) ReportError(err error) { f.failed(err) }

func (f findings) NewAddress(addresses []resolver.Address) {
	_ = f.found(resolver.State{Addresses: addresses}) // the interface leaves no way to answer
}

// ParseServiceConfig refuses: what a name server says must not change how RPCs
// are made.
func (findings) ParseServiceConfig(string) *serviceconfig.ParseResult {
	return &serviceconfig.ParseResult{Err: errors.New("service configurations are not used")}
}

// resolve keeps the addresses up to date until ctx ends.
func (p *pool) resolve(ctx context.Context) {
	if p.target.builder.Scheme() == "dns" {
		p.poll(ctx)
		return
	}
	for pause := p.params.retryFirst(); ; pause = min(2*pause, p.params.retryLast()) {
		r, err := p.target.builder.Build(p.target.url, findings{p.update, p.unresolved}, p.buildOptions())
		if err == nil {
			p.remind(ctx, r)
			r.Close()
			return
		}
		p.unresolved(err)
		if !sleep(ctx, pause) {
			return
		}
	}
}

// remind asks a resolver that reports by itself to look again: every
// resolveEvery, and when a connection is lost.
func (p *pool) remind(ctx context.Context, r resolver.Resolver) {
	for p.lookAgain(ctx, p.resolveEvery) {
		r.ResolveNow(resolver.ResolveNowOptions{})
		if !sleep(ctx, lookupRest) {
			return
		}
	}
}

// poll looks a name up: every resolveEvery, when a connection is lost or cannot
// be established, and after failures. Each lookup has a resolver of its own:
// grpc-go's DNS resolver asks no sooner than 30 s after an answer, a bound that
// can only be changed for the whole process, and backs off to two minutes after
// failures, so that a backend that has moved would stay away for as long.
func (p *pool) poll(ctx context.Context) {
	pause := p.params.retryFirst()
	for {
		err := p.lookUp(ctx)
		if ctx.Err() != nil {
			return
		}
		again := p.resolveEvery
		if err != nil {
			again, pause = jitter(pause), min(2*pause, p.params.retryLast())
		} else {
			pause = p.params.retryFirst()
			if !sleep(ctx, min(lookupRest, again)) {
				return
			}
		}
		if !p.lookAgain(ctx, again) {
			return
		}
	}
}

const (
	// resolveEvery is short of 30 s, so that a new address has its connection
	// within 30 s. Up to a tenth of it is jitter.
	resolveEvery = 27 * time.Second
	// lookupRest is the least time between two lookups after one that succeeded.
	lookupRest = time.Second
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
	results := make(chan result, 1) // for the first result; the resolver is closed then
	report := func(r result) {
		select {
		case results <- r:
		default:
		}
	}
	r, err := p.target.builder.Build(p.target.url, findings{
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
		// grpc-go's resolver tells a name that does not exist so.
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

// lookAgain waits until the addresses should be looked up again, at most for d.
// It reports false when ctx ends.
func (p *pool) lookAgain(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d - jitter(d/10))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.again:
	case <-ctx.Done():
		return false
	}
	return true
}

// resolveSoon has the addresses looked up again.
func (p *pool) resolveSoon() {
	select {
	case p.again <- struct{}{}:
	default:
	}
}
