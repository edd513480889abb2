package admit

import (
	"net/netip"
	"sync"

	"github.com/ssebridge/ssebridge/bridge/internal/peer"
	"github.com/ssebridge/ssebridge/internal/address"
)

// slots counts clients against limits.clients and limits.clients_per_ip. A stream has a slot
// from the moment its request has been read until it has ended, including the time that it
// waits to be accepted. Unary calls do not take a stream slot: they end by themselves, and a
// page that has a stream can call even if all slots are taken. Answers that only ask a
// client to reconnect do not take one either.
//
// Slots are counted by address even without a limit, so that the limits of a reload apply at
// once. The methods are safe for concurrent use.
type slots struct {
	mu          sync.Mutex
	most        int  // limits.clients
	mostPerAddr int  // limits.clients_per_ip; 0: no limit
	ownOnly     bool // mostPerAddr applies only to addresses that are a client's own
	taken       int
	takenByAddr map[netip.Addr]int // by address key; without zeros
	takenByConn map[string]int     // by HTTP/2 connection; without zeros
}

// limit sets the limits. Taken slots stay taken.
func (s *slots) limit(clients, perAddr int, ownOnly bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most, s.mostPerAddr, s.ownOnly = clients, perAddr, ownOnly
}

// take takes a slot for a client; conn is its peer.HTTP2Conn. The error is a *fullError.
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

// leave returns a slot that take has taken.
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
		s.takenByAddr, s.takenByConn = nil, nil // a map never shrinks
	}
}

// onConn returns the number of slots that the clients of an HTTP/2 connection have.
func (s *slots) onConn(conn string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.takenByConn[conn]
}

// count returns the number of taken slots.
func (s *slots) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken
}
