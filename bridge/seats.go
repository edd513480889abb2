package bridge

import (
	"net/http"
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
	takenByConn map[string]int     // the same, of connections of HTTP/2
}

// seat is one client's slot. The nil seat is none.
type seat struct {
	seats   *seats
	addr    netip.Addr // see address.Key
	own     bool       // it is a client's own, as far as is known
	conn    string     // the peer's address on HTTP/2; empty on HTTP/1
	holders int        // guarded by seats.mu
	kept    *load      // of the request, for as long as the stream lasts; see endpoint.keep
}

// limit sets how many slots there are. Taken ones stay taken.
func (s *seats) limit(clients, perAddr int, ownOnly bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most, s.mostPerAddr, s.ownOnly = clients, perAddr, ownOnly
}

// take gives a client a slot, which is to be left; conn is its framedConn. The error is a
// *fullError.
func (s *seats) take(from client, conn string) (*seat, error) {
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
		s.takenByAddr, s.takenByConn = map[netip.Addr]int{}, map[string]int{}
	}
	s.taken++
	s.takenByAddr[addr]++
	if conn != "" {
		s.takenByConn[conn]++
	}
	return &seat{seats: s, addr: addr, own: from.own, conn: conn, holders: 1}, nil
}

// framedConn names a request's connection of HTTP/2 by the peer's address. It is empty
// on HTTP/1, where a connection has one request at a time.
func framedConn(r *http.Request) string {
	if r.ProtoMajor < 2 {
		return ""
	}
	return r.RemoteAddr
}

// onConn returns how many slots the clients of a connection of HTTP/2 have.
func (s *seats) onConn(conn string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.takenByConn[conn]
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
	s.kept.leave()
	all.taken--
	if all.takenByAddr[s.addr]--; all.takenByAddr[s.addr] == 0 {
		delete(all.takenByAddr, s.addr)
	}
	if s.conn != "" {
		if all.takenByConn[s.conn]--; all.takenByConn[s.conn] == 0 {
			delete(all.takenByConn, s.conn)
		}
	}
	if all.taken == 0 {
		all.takenByAddr, all.takenByConn = nil, nil // a map keeps the room that it had once
	}
}
