package upstream

import (
	"cmp"
	"slices"

	"google.golang.org/grpc/connectivity"
)

// Usage is the state of an upstream's connections at one time.
type Usage struct {
	// Connections is the number of connections. Ready of them are up, and Silent are up with a
	// backend that does not answer.
	Connections, Ready, Silent int
	// Apart is the number of further, isolated connections, for RPCs that have broken a connection
	// or may have.
	Apart int
	// Streams is the number of RPCs that have a slot, except for those that read the schema.
	Streams int
	// Opening is the number of RPCs that wait for a slot, at most Params.Opens.
	Opening int
	// Addresses are the target's addresses, sorted. Params.Conn counts as one.
	Addresses []AddressUsage
}

// AddressUsage is the state of one address.
type AddressUsage struct {
	// Address is the address as the resolver names it, or the target if it has one address.
	Address string
	// Ready reports whether a connection is up.
	Ready bool
	// Foreign reports whether no address of this IP version has been reached while the other
	// version works.
	Foreign bool
	// Failing reports whether the address fails all RPCs and is set aside.
	Failing bool
	// Gone reports whether the resolver no longer names the address while RPCs go on there.
	Gone bool
	// Streams is the number of RPCs at the address, except for those that read the schema.
	Streams int
}

// Usage returns the state of the upstream's connections. Of Params.Conn it reports only whether it
// is up, which is assumed if the connection does not report its state.
func (u *Upstream) Usage() Usage {
	usage := Usage{Opening: len(u.opening)}
	u.mu.Lock()
	usage.Streams = len(u.streams)
	u.mu.Unlock()
	if u.pool != nil {
		u.pool.count(&usage)
		return usage
	}
	usage.Connections, usage.Ready = 1, 1
	if cc, ok := u.params.Conn.(interface{ GetState() connectivity.State }); ok {
		switch cc.GetState() {
		case connectivity.Ready, connectivity.Idle: // an idle connection connects when it is used
		default:
			usage.Ready = 0
		}
	}
	usage.Addresses = []AddressUsage{{Address: u.params.Target, Ready: usage.Ready > 0, Streams: usage.Streams}}
	return usage
}

// count adds the pool's connections and their RPCs.
func (p *pool) count(usage *Usage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	usage.Apart = p.apart
	for _, e := range p.endpoints {
		usage.Addresses = append(usage.Addresses, AddressUsage{
			Address: e.name, Ready: e.ready(), Foreign: p.foreignLocked(e), Failing: e.faults.failing(), Gone: e.gone, Streams: e.active,
		})
		for c := range e.all() {
			usage.Connections++
			switch {
			case c.usable():
				usage.Ready++
			case c.ready:
				usage.Silent++
			}
		}
	}
	slices.SortFunc(usage.Addresses, func(a, b AddressUsage) int { return cmp.Compare(a.Address, b.Address) })
}
