package upstream

import (
	"context"
	"errors"
	"slices"
)

// errApart is the cause of UNAVAILABLE for an RPC that breaks its connections and finds no slot.
var errApart = errors.New("the RPC has broken its connection more than once, and the connections for such RPCs are in use")

// placeApartLocked places an RPC with strikes on a connection of its own, to an address that has
// room. Such an RPC then disturbs no other if it breaks its connection, and the next loss
// identifies the culprit among several suspects.
//
// Once there are enough such connections, the RPC shares one that has room. It does not wait for
// room: many such waiting RPCs would use up the opening slots (Params.Opens) of others. A nil slot
// without an error means that the RPC may share a normal connection, since it has not broken its
// connection twice.
func (p *pool) placeApartLocked(ctx context.Context, e *endpoint, strikes int) (*slot, error) {
	most := min(maxApart, p.params.Opens)
	if strikes < maxStrikes {
		most /= 2
	}
	if p.apart >= most {
		return p.shareApartLocked(strikes)
	}
	own, err := p.addApartLocked(e)
	if err != nil {
		return nil, &waitError{what: "no connection", cause: err}
	}
	for {
		switch {
		case p.closed:
			return nil, errClosed
		case own.usable():
			return p.takeLocked(own), nil
		case own.closing: // its address was removed
			return p.shareApartLocked(strikes)
		case own.lastErr != nil: // the backend may accept no further connection
			p.retireApartLocked(own)
			return p.shareApartLocked(strikes)
		}
		if err := p.waitLocked(ctx); err != nil {
			p.retireApartLocked(own)
			return nil, p.reasonLocked()
		}
	}
}

// shareApartLocked takes a slot on the isolated connection with the fewest RPCs.
func (p *pool) shareApartLocked(strikes int) (*slot, error) {
	var least *connection
	for _, e := range p.endpoints {
		for _, c := range e.apart {
			if c.room() && (least == nil || c.active < least.active) {
				least = c
			}
		}
	}
	switch {
	case least != nil:
		return p.takeLocked(least), nil
	case strikes >= maxStrikes:
		return nil, &waitError{what: "no connection", cause: errApart}
	default:
		return nil, nil //nolint:nilnil // see placeApartLocked
	}
}

// addApartLocked opens an isolated connection for one RPC.
func (p *pool) addApartLocked(e *endpoint) (*connection, error) {
	c, err := p.connectLocked(e)
	if err != nil {
		return nil, err
	}
	c.apart = true
	e.apart = append(e.apart, c)
	p.apart++
	return c, nil
}

// retireApartLocked closes an isolated connection.
func (p *pool) retireApartLocked(c *connection) {
	if c.closing {
		return
	}
	e := c.endpoint
	e.apart = slices.DeleteFunc(e.apart, func(other *connection) bool { return other == c })
	p.apart--
	c.closing = true
	p.retireLocked([]*connection{c})
}
