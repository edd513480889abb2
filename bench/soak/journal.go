package main

import "time"

// happening is a kind of entry in a journal.
type happening int

const (
	connects happening = iota // to an address
	opens                     // its stream's first block has come
	asked                     // to come back, for a reason
	ends                      // its stream has
)

// entry is what happened to a client at a moment.
type entry struct {
	what happening
	at   time.Time
	word string // the address, or the reason
}

// journal has the entries of a client, in order. Only the client's goroutine uses it until
// the client has left. A nil journal notes nothing.
type journal struct{ entries []entry }

// reached corrects the address of the newest connection, once it is known.
func (j *journal) reached(address string) {
	for i := len(j.entries) - 1; i >= 0; i-- {
		if j.entries[i].what == connects {
			j.entries[i].word = address
			return
		}
	}
}

func (j *journal) note(what happening, word string) {
	if j != nil {
		j.entries = append(j.entries, entry{what, time.Now(), word})
	}
}
