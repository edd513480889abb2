package demo

import (
	"sync"
	"testing"
)

func TestUnusedRoomsAreForgotten(t *testing.T) {
	rs := newRooms()
	empty := rs.enter("empty")
	rs.exit(empty)
	if len(rs.byID) != 0 {
		t.Error("a room that never held anything is kept")
	}
	used := rs.enter("used")
	used.join("Ada")
	rs.exit(used)
	if again := rs.enter("used"); again != used {
		t.Error("a room with a history was forgotten")
	}
}

func TestRoomNotifiesOfEachChange(t *testing.T) {
	rs := newRooms()
	r := rs.enter("r")
	_, _, changed := r.watched()
	other := rs.enter("r")
	<-changed // somebody came
	watchers, _, changed := r.watched()
	if watchers != 2 {
		t.Fatalf("%d watchers, want 2", watchers)
	}
	r.say("Ada", "hello")
	<-changed
	_, newest, changed := r.watched()
	if newest != 1 {
		t.Fatalf("newest %d, want 1", newest)
	}
	rs.exit(other)
	<-changed // somebody left
}

// Readers hold a part of the log while the room goes on; under -race this shows that
// the part is theirs.
func TestRoomReadersAndWritersDoNotMeet(t *testing.T) {
	r := newRoom("r")
	r.say("Ada", "first")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			position := int64(0)
			for position < 2*roomHistory {
				events, changed, ok := r.after(position)
				if !ok { // it ran away under us
					position = r.begin(true, 0)
					continue
				}
				for _, event := range events {
					if event.GetSeq() != position+1 {
						t.Errorf("seq %d after %d", event.GetSeq(), position)
					}
					position = event.GetSeq()
				}
				if len(events) == 0 {
					<-changed
				}
			}
		})
	}
	wg.Go(func() {
		for range 3 * roomHistory {
			r.say("Ada", "more")
		}
	})
	wg.Wait()
}
