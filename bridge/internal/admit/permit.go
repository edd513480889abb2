package admit

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/peer"
	"github.com/ssebridge/ssebridge/internal/address"
)

// Permit is what one request has been granted. It is released once, when the answer has
// ended: by the handler, or by the stream that outlives it. It is used by one goroutine at a
// time.
type Permit struct {
	gate     *Gate
	presence *Presence
	from     peer.Client
	conn     string // peer.HTTP2Conn

	call, stream bool // slots that are taken

	request *Memory // of the request, while it is served
	kept    *Memory // of the request, while its stream lasts; nil: it is not kept

	opens   bool      // a topic has been opened for the request
	watched bool      // the stream counts as given up if it is left at once
	began   time.Time // of the stream
}

// Enter begins a permit for a request to the route with this presence. It is nil where the
// route has been retired.
func (g *Gate) Enter(r *http.Request, presence *Presence) *Permit {
	if !presence.enter() {
		return nil
	}
	return &Permit{gate: g, presence: presence, from: peer.Of(r), conn: peer.HTTP2Conn(r), request: &Memory{pool: &g.requests}}
}

// TakeCallSlot takes a slot for a request that has a body to be read, or is a call of a
// unary method: it does not stay, but takes memory while it is there. There are as many of
// these slots as of streams', and they are others, so that slow bodies do not take the slots
// of streams. The error says that a limit is reached.
func (p *Permit) TakeCallSlot() error {
	err := p.gate.calls.take(p.from, p.conn)
	p.call = err == nil
	return err
}

// TakeStreamSlot takes a slot for a stream. The error says that a limit is reached.
func (p *Permit) TakeStreamSlot() error {
	err := p.gate.streams.take(p.from, p.conn)
	p.stream = err == nil
	return err
}

// HasStreamSlot reports whether TakeStreamSlot has taken one.
func (p *Permit) HasStreamSlot() bool { return p.stream }

// Request is the memory of the request while it is served.
func (p *Permit) Request() *Memory { return p.request }

// Keep counts a request of so many bytes that is kept as long as its stream. The error says
// that a limit is reached.
func (p *Permit) Keep(bytes int) error {
	if bytes <= freeBytes {
		return nil
	}
	p.kept = &Memory{pool: &p.gate.requests}
	return p.kept.Grow(bytes)
}

// MayOpen says whether a topic may be opened for the request, which the topic then keeps. The
// error says that a limit is reached.
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

// Addr returns the address key of a client whose address is its own, else an invalid one.
func (p *Permit) Addr() netip.Addr {
	if !p.from.Own {
		return netip.Addr{}
	}
	return address.Key(p.from.Addr)
}

// GaveUp counts a request that its client gave up before it was accepted. opened says that
// only a request counts for which a topic was opened.
func (p *Permit) GaveUp(opened bool) {
	if p.opens || !opened {
		p.gate.aborts.count(p.abortKey())
	}
}

// Dismiss gives back the slot of a stream that only asks its client to come back.
func (p *Permit) Dismiss() {
	p.leaveStream()
	p.opens = false
}

// Streaming begins the stream: what only the request takes is given back. From now on the
// stream has the permit, and calls Ended in place of Release.
func (p *Permit) Streaming() {
	p.leaveRequest()
	p.watched, p.began = p.opens, time.Now()
}

// Ended releases the permit of a stream. gone says that the client has left it.
func (p *Permit) Ended(gone bool) {
	if gone && p.watched && time.Since(p.began) < abortedWithin {
		p.gate.aborts.count(p.abortKey())
	}
	p.Release()
}

// Release gives everything back.
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
