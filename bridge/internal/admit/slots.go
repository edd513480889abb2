package admit

import (
	"net/netip"
	"sync"

	"github.com/ssebridge/ssebridge/bridge/internal/peer"
	"github.com/ssebridge/ssebridge/internal/address"
)

// slots are the places of clients: limits.clients in all, and limits.clients_per_ip for one
// address. A stream has a slot from when its request has been read (so also while it waits to
// be accepted) until it has ended. Calls of unary methods need none of these: they end by
// themselves, and a page with a stream is to be able to call while no slot is free. Nor do
// answers that only ask a client to come back.
//
// All slots are counted at any time, also by address, so that limits which a reload brings
// hold at once. The methods are safe for concurrent use.
type slots struct {
	mu          sync.Mutex
	most        int  // limits.clients
	mostPerAddr int  // limits.clients_per_ip; 0: as many as there are
	ownOnly     bool // mostPerAddr is for addresses that are a client's own
	taken       int
	takenByAddr map[netip.Addr]int // by address key; of those that have any
	takenByConn map[string]int     // the same, of connections of HTTP/2
}

// limit sets how many slots there are. Taken ones stay taken.
func (s *slots) limit(clients, perAddr int, ownOnly bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most, s.mostPerAddr, s.ownOnly = clients, perAddr, ownOnly
}

// take gives a client a slot; conn is its peer.HTTP2Conn. The error is a *fullError.
func (s *slots) take(from peer.Client, conn string) error {
	addr := address.Key(from.Addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.taken >= s.most:
		return &fullError{limit: LimitClients}
	case s.mostPerAddr > 0 && (from.Own || !s.ownOnly) && s.takenByAddr[addr] >= s.mostPerAddr:
		return &fullError{limit: LimitClientsPerIP}
	}
	if s.takenByAddr == nil {
		s.takenByAddr, s.takenByConn = map[netip.Addr]int{}, map[string]int{}
	}
	s.taken++
	s.takenByAddr[addr]++
	if conn != "" {
		s.takenByConn[conn]++
	}
	return nil
}

// leave gives back what take has given.
func (s *slots) leave(from peer.Client, conn string) {
	addr := address.Key(from.Addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.takenByAddr[addr]--; s.takenByAddr[addr] == 0 {
		delete(s.takenByAddr, addr)
	}
	if conn != "" {
		if s.takenByConn[conn]--; s.takenByConn[conn] == 0 {
			delete(s.takenByConn, conn)
		}
	}
	if s.taken == 0 {
		s.takenByAddr, s.takenByConn = nil, nil // a map keeps the room that it had once
	}
}

// onConn returns how many slots the clients of a connection of HTTP/2 have.
func (s *slots) onConn(conn string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.takenByConn[conn]
}

// count returns how many clients there are.
func (s *slots) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken
}
