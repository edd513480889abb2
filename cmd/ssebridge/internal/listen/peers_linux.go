package listen

import (
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/ssebridge/ssebridge/internal/acked"
)

// peerTimeout is how long a peer may acknowledge nothing of what it is sent.
const peerTimeout = 20 * time.Second

// peers ends connections whose peer acknowledges nothing. It is for those that net/http
// serves, also by TLS and HTTP/2. The bridge takes others over, with a socket of its own
// and the route's write_timeout.
type peers struct {
	timeout time.Duration
	begun   time.Time

	mu    sync.Mutex
	conns map[*net.TCPConn]*acked.Watch
}

func newPeers(timeout time.Duration) *peers {
	return &peers{timeout: timeout, begun: time.Now(), conns: map[*net.TCPConn]*acked.Watch{}}
}

// add watches a connection until it is closed.
func (p *peers) add(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[tcp] = &acked.Watch{}
}

// run looks at all connections again and again, until stopped is closed.
func (p *peers) run(stopped <-chan struct{}) {
	each := time.NewTicker(p.timeout / acked.LooksPerTimeout)
	defer each.Stop()
	for {
		select {
		case <-each.C:
			p.look()
		case <-stopped:
			return
		}
	}
}

// look forgets the connections that are closed and ends those that are stuck.
func (p *peers) look() {
	p.mu.Lock()
	all := slices.AppendSeq(make([]*net.TCPConn, 0, len(p.conns)), maps.Keys(p.conns))
	p.mu.Unlock()
	for _, conn := range all {
		p.mu.Lock()
		watch := p.conns[conn]
		p.mu.Unlock()
		stuck := false
		raw, err := conn.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { stuck = watch.Stuck(time.Since(p.begun), p.timeout, int(fd)) })
		}
		if err == nil && !stuck {
			continue
		}
		if stuck {
			_ = conn.SetLinger(0) // the peer takes nothing of the rest
			_ = conn.Close()      // its server notices
		}
		p.mu.Lock()
		delete(p.conns, conn)
		p.mu.Unlock()
	}
}
