package topic

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// ErrFull says that there are as many topics as the limit allows, and that
// clients listen to all of them.
var ErrFull = errors.New("topic: the limit of topics is reached")

// ErrClosed says that the registry is closed.
var ErrClosed = errors.New("topic: closed")

// Limits bound a registry.
type Limits struct {
	Topics int // at once; at least 1
	Idle   int // lingering at once; the least recently used goes first; at least 1
}

// Registry holds all topics of a bridge and knows who shares which. Its
// methods are safe for concurrent use.
type Registry struct {
	limits Limits
	pumps  sync.WaitGroup

	mu       sync.Mutex
	families map[string]*family
	topics   int // those not gone
	idle     *simplelru.LRU[*Topic, struct{}]
	closed   bool
}

// family is the topics of one key: requests that a backend cannot tell apart.
type family struct {
	key    string
	main   *Topic   // whom new clients join; nil for private topics
	topics []*Topic // main, finished ones that linger, private ones
}

// NewRegistry returns an empty registry. Close it.
func NewRegistry(limits Limits) *Registry {
	idle, err := simplelru.NewLRU[*Topic, struct{}](limits.Idle, nil)
	if err != nil {
		panic(err) // Limits.Idle < 1, which the configuration excludes
	}
	return &Registry{limits: limits, families: map[string]*family{}, idle: idle}
}

// Close ends all RPCs and returns when their pumps have.
func (r *Registry) Close() {
	r.mu.Lock()
	r.closed = true
	for _, f := range r.families {
		for _, t := range f.topics {
			t.halt()
			if t.linger != nil {
				t.linger.Stop()
			}
		}
	}
	r.mu.Unlock()
	r.pumps.Wait()
}

// Topics returns how many topics there are, lingering ones included.
func (r *Registry) Topics() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.topics
}

// find returns the topic that a client with the given place in mind is to
// listen to, making it if need be. Its pump is not started yet.
func (r *Registry) find(join Join) (*Topic, error) {
	f := r.families[join.Key]
	if f != nil {
		if t := f.byEpoch(join.Place.Epoch); t != nil {
			return t, nil
		}
		if t := f.main; t != nil && (!t.finished() || t.holds(join.Place)) {
			return t, nil
		}
	}
	if err := r.makeRoom(); err != nil {
		return nil, err
	}
	if f = r.families[join.Key]; f == nil { // making room may have ended it
		f = &family{key: join.Key}
		r.families[join.Key] = f
	}
	epoch, params := join.Open()
	t := newTopic(epoch, join.Private, f, params)
	f.topics = append(f.topics, t)
	if !join.Private {
		f.main = t
	}
	r.topics++
	return t, nil
}

func (f *family) byEpoch(epoch string) *Topic {
	if epoch == "" {
		return nil
	}
	for _, t := range f.topics {
		if t.epoch == epoch {
			return t
		}
	}
	return nil
}

func (t *Topic) finished() bool { return t.Status().Phase == Finished }

// holds reports whether the log has a cursor.
func (t *Topic) holds(place Place) bool {
	if place.ID == "" || place.Epoch != "" {
		return false
	}
	_, ok := t.log.Find(place.ID)
	return ok
}

// makeRoom ends the topic that has been idle longest if the limit is reached.
func (r *Registry) makeRoom() error {
	if r.topics < r.limits.Topics {
		return nil
	}
	oldest, _, ok := r.idle.RemoveOldest()
	if !ok {
		return ErrFull
	}
	r.end(oldest)
	return nil
}

// start runs the topic's pump.
func (r *Registry) start(t *Topic) {
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	r.pumps.Go(func() { t.pump(ctx, r) })
}

// halt ends the topic's pump, if one runs.
func (t *Topic) halt() {
	if t.stop != nil {
		t.stop()
	}
}

// stopped is the pump's last act: with the status that says why, it leaves
// the topic to whoever joins or ends it next.
func (r *Registry) stopped(t *Topic, change func(*Status)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.halt()
	t.stop = nil
	t.update(change)
}

// rest lets a topic without clients linger.
func (r *Registry) rest(t *Topic) {
	linger := t.params.Linger
	if r.closed || t.params.Abandon || !t.opened || linger <= 0 {
		r.end(t)
		return
	}
	if r.idle.Len() >= r.limits.Idle {
		if oldest, _, ok := r.idle.RemoveOldest(); ok {
			r.end(oldest)
		}
	}
	r.idle.Add(t, struct{}{})
	t.rests++
	rest := t.rests
	t.linger = time.AfterFunc(linger, func() { r.lingered(t, rest) })
}

// lingered ends a topic whose time is up, unless somebody came in between,
// and may have left again.
func (r *Registry) lingered(t *Topic, rest int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.clients == 0 && t.rests == rest {
		r.end(t)
	}
}

// end takes a topic out of the registry and ends its RPC. Clients that are
// still attached keep its log.
func (r *Registry) end(t *Topic) {
	if t.gone {
		return
	}
	t.gone = true
	r.topics--
	r.idle.Remove(t)
	if t.linger != nil {
		t.linger.Stop()
	}
	t.halt()
	f := t.home
	if f.main == t {
		f.main = nil
	}
	for i, other := range f.topics {
		if other == t {
			f.topics = append(f.topics[:i], f.topics[i+1:]...)
			break
		}
	}
	if len(f.topics) == 0 {
		delete(r.families, f.key)
	}
}
