package bridge

import (
	"net/netip"
	"sync"

	"github.com/ssebridge/ssebridge/internal/address"
)

// seats are the slots of clients: limits.clients in all, and limits.clients_per_ip
// for one address. A stream has one from when its request has been read (so also
// while it waits to be accepted) until it has ended. Calls of unary methods need
// none: they end by themselves, and a page with a stream is to be able to call while
// no slot is free. Nor do answers that only ask a client to come back.
//
// All is counted at any time, also by address, so that limits which a reload brings
// hold at once. The methods are safe for concurrent use.
type seats struct {
	mu          sync.Mutex
	most        int  // limits.clients
	mostPerAddr int  // limits.clients_per_ip; 0: as many as there are
	ownOnly     bool // mostPerAddr is for addresses that are a client's own
	taken       int
	takenByAddr map[netip.Addr]int // of those that have any
}

// seat is one client's slot. The nil seat is none.
type seat struct {
	seats   *seats
	addr    netip.Addr // see address.Key
	own     bool       // it is a client's own, as far as is known
	holders int        // guarded by seats.mu
}

// limit sets how many slots there are. Taken ones stay taken.
func (s *seats) limit(clients, perAddr int, ownOnly bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most, s.mostPerAddr, s.ownOnly = clients, perAddr, ownOnly
}

// take gives a client a slot, which is to be left. The error is a *fullError.
func (s *seats) take(from client) (*seat, error) {
	addr := address.Key(from.addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.taken >= s.most:
		return nil, &fullError{limit: limitClients}
	case s.mostPerAddr > 0 && (from.own || !s.ownOnly) && s.takenByAddr[addr] >= s.mostPerAddr:
		return nil, &fullError{limit: limitClientsPerIP}
	}
	if s.takenByAddr == nil {
		s.takenByAddr = map[netip.Addr]int{}
	}
	s.taken++
	s.takenByAddr[addr]++
	return &seat{seats: s, addr: addr, own: from.own, holders: 1}, nil
}

// count returns how many clients there are.
func (s *seats) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken
}

// stay adds a holder: the stream that outlives its request.
func (s *seat) stay() {
	s.seats.mu.Lock()
	defer s.seats.mu.Unlock()
	s.holders++
}

// ownAddr returns the seat's address if it is a client's own, else an invalid one.
func (s *seat) ownAddr() netip.Addr {
	if !s.own {
		return netip.Addr{}
	}
	return s.addr
}

// leave ends what take or stay began.
func (s *seat) leave() {
	if s == nil {
		return
	}
	all := s.seats
	all.mu.Lock()
	defer all.mu.Unlock()
	if s.holders--; s.holders > 0 {
		return
	}
	all.taken--
	if all.takenByAddr[s.addr]--; all.takenByAddr[s.addr] == 0 {
		delete(all.takenByAddr, s.addr)
	}
	if all.taken == 0 {
		all.takenByAddr = nil // a map keeps the room that it had once
	}
}
