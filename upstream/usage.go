package upstream

import (
	"cmp"
	"slices"

	"google.golang.org/grpc/connectivity"
)

// Usage is how much of an upstream is in use at one time.
type Usage struct {
	// Connections is how many there are, Ready how many of them are up, and Silent
	// how many are up with a backend that does not answer.
	Connections, Ready, Silent int
	// Apart is how many connections there are beside these, for RPCs that have
	// broken a connection, or may have.
	Apart int
	// Streams are RPCs that have their place, those that read the schema left out.
	Streams int
	// Opening are RPCs that wait for a place, at most Params.Opens.
	Opening int
	// Moves are the RPCs that were moved to another address so far.
	Moves uint64
	// Addresses are those of the target, sorted. Params.Conn is one.
	Addresses []AddressUsage
}

// AddressUsage is how much of one address is in use.
type AddressUsage struct {
	// Address is as the resolver names it, or the target if it has one address.
	Address string
	// Ready says that a connection is up.
	Ready bool
	// Foreign says that it is of a version of IP by which no address of the target has
	// been reached, while another version works.
	Foreign bool
	// Failing says that the address fails all RPCs, and is set aside.
	Failing bool
	// Gone says that the resolver does not name the address any more, and that
	// RPCs go on there.
	Gone bool
	// Streams are the RPCs that are placed there, those that read the schema
	// left out.
	Streams int
}

// Usage returns how much of the upstream is in use. Of Params.Conn it is known
// only whether it is up, if it can tell: else it is taken to be.
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
		case connectivity.Ready, connectivity.Idle: // idle connections connect when they are used
		default:
			usage.Ready = 0
		}
	}
	usage.Addresses = []AddressUsage{{Address: u.params.Target, Ready: usage.Ready > 0, Streams: usage.Streams}}
	return usage
}

// count adds what the connections carry.
func (p *pool) count(usage *Usage) {
	usage.Moves = p.moves.Load()
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
