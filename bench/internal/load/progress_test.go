package load

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestProgressIsThatOfTheSlowest plays clients that advance, come and leave, and
// compares with what a look at all of them says.
func TestProgressIsThatOfTheSlowest(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var told bytes.Buffer
	p := &progress{to: &told}
	if err := p.begin(); err != nil {
		t.Fatal(err)
	}
	var clients []uint64
	reached := uint64(0)
	for range 20_000 {
		switch choice := random.IntN(100); {
		case choice < 3 && len(clients) < 20 || len(clients) == 0:
			p.join(1)
			clients = append(clients, 0) // counts as far as all were
		case choice < 5 && len(clients) > 1:
			at := random.IntN(len(clients))
			p.leave(clients[at])
			clients = slices.Delete(clients, at, at+1)
		default:
			at := random.IntN(len(clients))
			to := max(clients[at], reached) + 1 + random.Uint64N(3)
			p.advance(clients[at], to)
			clients[at] = to
		}
		reached = max(reached, slices.Min(clients))
		if p.reached != reached {
			t.Fatalf("reached is %d, want %d; clients are at %d", p.reached, reached, clients)
		}
		p.tell()
		if last := told.Bytes()[told.Len()-8:]; binary.BigEndian.Uint64(last) != reached {
			t.Fatalf("told %d, want %d", binary.BigEndian.Uint64(last), reached)
		}
	}
	if err := p.end(); err != nil {
		t.Fatal(err)
	}
	p.advance(0, p.reached+ahead)
	if p.end() == nil {
		t.Error("a client may be too far ahead")
	}
}

func TestLostAndDoubledPlacesShow(t *testing.T) {
	c := &client{window: &window{}}
	for _, place := range []uint64{5, 6, 7, 10, 10, 9, 11, 15} {
		c.place(place)
	}
	if c.counts.lost != 2+3 || c.counts.doubled != 2 || c.last != 15 {
		t.Errorf("%+v, at %d", c.counts, c.last)
	}
}
