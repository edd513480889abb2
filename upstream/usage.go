package upstream

import "google.golang.org/grpc/connectivity"

// Usage is how much of an upstream is in use at one time.
type Usage struct {
	// Connections is how many there are, and Ready how many of them are up.
	Connections, Ready int
	// Streams are RPCs that have their place, those that read the schema left out.
	Streams int
	// Opening are RPCs that wait for a place, at most Params.Opens.
	Opening int
}

// Usage returns how much of the upstream is in use. Of Params.Conn it is known
// only whether it is up, if it can tell: else it is taken to be.
func (u *Upstream) Usage() Usage {
	usage := Usage{Opening: len(u.opening)}
	u.mu.Lock()
	usage.Streams = len(u.streams)
	u.mu.Unlock()
	if u.pool != nil {
		usage.Connections, usage.Ready = u.pool.count()
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
	return usage
}

// count returns how many connections there are, and how many are up.
func (p *pool) count() (all, ready int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.connections {
		if c.ready {
			ready++
		}
	}
	return len(p.connections), ready
}
