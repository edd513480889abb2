package admit

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/peer"
	"github.com/ssebridge/ssebridge/internal/address"
)

// Permit holds the slots and the memory that one request has been granted. It is released
// once, when the answer has ended: by the handler, or by the stream that outlives the
// handler. It is not safe for concurrent use.
type Permit struct {
	gate     *Gate
	presence *Presence
	from     peer.Client
	conn     string // peer.HTTP2Conn

	call, stream bool // the slots that it has
	opens        bool // a topic has been opened for the request
	watched      bool // an early end of the stream counts as an abort

	request *Memory // of the request, while it is served
	kept    *Memory // of the request, while its stream lasts; nil if the stream does not need it

	began time.Time // of the stream
}

// Enter returns a permit for a request to the route that presence belongs to, nil if the
// route has been retired.
func (g *Gate) Enter(r *http.Request, presence *Presence) *Permit {
	if !presence.enter() {
		return nil
	}
	return &Permit{gate: g, presence: presence, from: peer.Of(r), conn: peer.HTTP2Conn(r), request: &Memory{pool: &g.requests}}
}

// TakeCallSlot takes a call slot, for a request with a body or to a unary method: it is
// short, but takes memory. Call slots are separate from stream slots, so that slow bodies do
// not take the slots of streams; the same limits apply. The error says that a limit is
// reached.
func (p *Permit) TakeCallSlot() error {
	err := p.gate.calls.take(p.from, p.conn)
	p.call = err == nil
	return err
}

// TakeStreamSlot takes a stream slot. The error says that a limit is reached.
func (p *Permit) TakeStreamSlot() error {
	err := p.gate.streams.take(p.from, p.conn)
	p.stream = err == nil
	return err
}

// HasStreamSlot reports whether the permit has a stream slot.
func (p *Permit) HasStreamSlot() bool { return p.stream }

// Request returns the memory of the request while it is served.
func (p *Permit) Request() *Memory { return p.request }

// Keep counts the memory of a request that the stream keeps until its end. The error says
// that a limit is reached.
func (p *Permit) Keep(bytes int) error {
	if bytes <= freeBytes {
		return nil
	}
	p.kept = &Memory{pool: &p.gate.requests}
	return p.kept.Grow(bytes)
}

// MayOpen checks whether the request, of the given size, may open a topic, which then keeps
// the request. The error says that a limit is reached.
func (p *Permit) MayOpen(requestBytes int) error {
	if kept := requestBytes - freeBytes; kept > 0 && !p.gate.requests.fits(int64(kept)) {
		return &fullError{limit: LimitPendingBytes}
	}
	if !p.gate.aborts.allows(p.abortKey()) || !p.gate.mayOpen(p.from) {
		return &fullError{limit: LimitOpensPerIP}
	}
	p.opens = true
	return nil
}

// Addr returns the address key of a client whose address is its own, else the zero Addr.
func (p *Permit) Addr() netip.Addr {
	if !p.from.Own {
		return netip.Addr{}
	}
	return address.Key(p.from.Addr)
}

// GaveUp counts a request that its client aborted before it was accepted. With opened set,
// it counts only a request that has opened a topic.
func (p *Permit) GaveUp(opened bool) {
	if p.opens || !opened {
		p.gate.aborts.count(p.abortKey())
	}
}

// Dismiss returns the slot of a stream that only asks its client to reconnect.
func (p *Permit) Dismiss() {
	p.leaveStream()
	p.opens = false
}

// Streaming returns the call slot and the memory that only the handler needs. From now on
// the stream owns the permit, and calls Ended instead of Release.
func (p *Permit) Streaming() {
	p.leaveRequest()
	p.watched, p.began = p.opens, time.Now()
}

// Ended releases the permit of a stream. gone is set if the client ended the stream.
func (p *Permit) Ended(gone bool) {
	if gone && p.watched && time.Since(p.began) < abortedWithin {
		p.gate.aborts.count(p.abortKey())
	}
	p.Release()
}

// Release returns all slots and memory.
func (p *Permit) Release() {
	p.leaveRequest()
	p.leaveStream()
	p.presence.leave()
}

func (p *Permit) leaveRequest() {
	p.request.Release()
	p.request = nil
	if p.call {
		p.call = false
		p.gate.calls.leave(p.from, p.conn)
	}
}

func (p *Permit) leaveStream() {
	p.kept.Release()
	p.kept = nil
	if p.stream {
		p.stream = false
		p.gate.streams.leave(p.from, p.conn)
	}
}
