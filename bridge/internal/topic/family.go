package topic

import (
	"errors"
	"sync"
)

// errOver ends the pump of a log that another one continues, or that its family has removed.
var errOver = errors.New("topic: another log goes on, or none")

// family is the topics of one key: of requests that a backend cannot tell apart except by where
// they resume.
//
// The logs of a family meet: a catch-up has done its work when its newest id is held by another log
// that has a running RPC and holds the id after its newest gap. The family checks this whenever a
// log grows or gets an RPC, under the family's lock, so that two catch-ups that hold each other's
// newest id do not both stop. See docs/resuming.md.
type family struct {
	key   string
	owner *Owner // may be nil
	// meets: cursors are looked up in logs, and logs may merge.
	meets bool

	// Changed under the registry's lock and the family's, so that either suffices to read.
	main    *Topic              // the topic that new clients join; nil for private topics
	topics  map[string]*Topic   // by epoch: main, catch-ups, private ones, finished ones that linger
	resting map[*Topic]struct{} // private ones without a client; guarded by the registry's lock
	again   pace                // of main logs that follow each other; guarded by the registry's lock

	mu       sync.Mutex          // taken after the registry's lock, before a log's
	index    index               // of catch-ups
	privates index               // of private topics whose ids have an age, by their newest id
	ahead    map[*Topic]struct{} // catch-ups whose pumps wait for main
}

func newFamily(join Join) *family {
	return &family{
		key: join.Key, owner: join.Owner, meets: join.Resumable && join.Ordered,
		topics: map[string]*Topic{}, resting: map[*Topic]struct{}{}, ahead: map[*Topic]struct{}{},
	}
}

// add adds a topic.
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

// remove removes a topic that has ended, and ends its RPC.
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
