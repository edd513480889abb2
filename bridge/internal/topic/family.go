package topic

import (
	"errors"
	"sync"
)

// errOver ends the pump of a log that another one goes on from, or that its family has
// given up.
var errOver = errors.New("topic: another log goes on, or none")

// family is the topics of one key: requests that a backend cannot tell apart
// but for where they resume.
//
// The logs of a family meet: a catch-up has done its work when its newest id is
// held by another log that has a running RPC and holds it after its newest gap.
// This is looked at whenever a log of the family grows or gets an RPC, under
// the family's lock, so that two catch-ups that hold each other's newest id do
// not both stop. See docs/resuming.md.
type family struct {
	key   string
	owner *Owner // may be nil
	// meets is set where logs are found by cursor and may merge.
	meets bool

	// Guarded by the registry's lock; changed under both, so that either
	// suffices to read.
	main    *Topic              // the topic that new clients join; nil for private topics
	topics  map[string]*Topic   // by epoch: main, catch-ups, private ones, finished ones that linger
	resting map[*Topic]struct{} // private ones without a client; under the registry's lock alone
	again   pace                // of main logs one after another; under the registry's lock alone

	mu       sync.Mutex          // below the registry's lock, above the logs'
	index    index               // of catch-ups
	privates index               // of private topics whose ids have an age, by the newest id alone
	ahead    map[*Topic]struct{} // catch-ups whose pumps wait for main
}

func newFamily(join Join) *family {
	return &family{
		key: join.Key, owner: join.Owner, meets: join.Resumable && join.Ordered,
		topics: map[string]*Topic{}, resting: map[*Topic]struct{}{}, ahead: map[*Topic]struct{}{},
	}
}

// add takes in a topic.
func (f *family) add(t *Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.topics[t.epoch] = t
	switch t.role() {
	case mainRole:
		f.main = t
	case catchUpRole:
		f.index.stand(t, t.start)
		if !t.member.apart {
			f.index.hold(t, t.start)
		}
	case privateRole:
		if t.params.Dated {
			f.privates.stand(t, t.start)
		}
	}
}

// remove takes out a topic that has ended, and ends its RPC.
func (f *family) remove(t *Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t.member.haltLocked()
	t.member.accepted, t.member.removed = false, true
	delete(f.topics, t.epoch)
	delete(f.resting, t)
	delete(f.ahead, t)
	if t.role() == privateRole {
		f.privates.drop(t)
	} else {
		f.index.drop(t)
	}
	if f.main == t {
		f.main = nil
		f.wakeAhead()
	}
}
