package upstream

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	// Reading a schema is tried again with doubled, jittered pauses between
	// these two, until it succeeds once for a connection and has all services
	// that it had before, unless they are gone from the list. A new connection
	// and RefreshSchema cut a pause short.
	schemaRetryFirst = 100 * time.Millisecond
	schemaRetryLast  = 30 * time.Second
	// failureSilence is how long the log hears no more of failures that
	// differ in their causes only, which may name other ports each time.
	failureSilence = time.Minute
	// maxWanted bounds the message types that are remembered for a reading.
	maxWanted = 256
	// maxTypeName bounds their names.
	maxTypeName = 512
)

// schemaKeeper holds the newest schema and follows the backend's.
type schemaKeeper struct {
	// reflective is false for schemas that cannot change.
	reflective bool
	// wake has room for one: a reading is due that has not begun.
	wake chan struct{}

	mu      sync.Mutex
	current *Schema       // nil while unknown
	changed chan struct{} // closed and replaced when current is
	err     error         // of the last reading, nil if it succeeded
	next    *refresh      // asked for and not begun
	wanted  []protoreflect.FullName
	over    bool // no reading will come
	// told is the failure that the log heard of last, toldAt when.
	told   error
	toldAt time.Time
}

// refresh is a reading that was asked for, and its result.
type refresh struct {
	done   chan struct{} // closed when the others are set
	schema *Schema
	err    error
}

func newSchemaKeeper(params Params) (*schemaKeeper, error) {
	k := &schemaKeeper{wake: make(chan struct{}, 1), changed: make(chan struct{})}
	var err error
	k.current, err = params.Schema.load()
	k.reflective = err == nil && k.current == nil
	return k, err
}

// Schema is the newest schema, nil while it is unknown.
func (u *Upstream) Schema() *Schema {
	u.schema.mu.Lock()
	defer u.schema.mu.Unlock()
	return u.schema.current
}

// SchemaChanged returns a channel that is closed when Schema next returns
// another value than at the time of the call. To miss nothing, call it before
// Schema.
func (u *Upstream) SchemaChanged() <-chan struct{} {
	u.schema.mu.Lock()
	defer u.schema.mu.Unlock()
	return u.schema.changed
}

// AwaitSchema returns the newest schema, and waits for the first. When ctx ends
// before, the error says why there is none yet and carries the status of the
// last try, or of the first that still goes on: UNAVAILABLE for a backend that is away, UNIMPLEMENTED for one
// without reflection, or as the backend refused.
func (u *Upstream) AwaitSchema(ctx context.Context) (*Schema, error) {
	k := u.schema
	for {
		k.mu.Lock()
		schema, changed := k.current, k.changed
		k.mu.Unlock()
		if schema != nil {
			return schema, nil
		}
		select {
		case <-changed:
		case <-u.closed:
			return nil, errClosed
		case <-ctx.Done():
			return nil, &prefixedError{"the schema of upstream " + u.params.Name + " is not known", u.unread()}
		}
	}
}

// unread says why the schema has not been read: by the last reading or, while
// the first still goes on, by what the pool waits for.
func (u *Upstream) unread() error {
	k := u.schema
	k.mu.Lock()
	err := k.err
	k.mu.Unlock()
	if err != nil {
		return err
	}
	if u.pool != nil {
		if wait := u.pool.unreachable(); wait != nil {
			return &rpcError{status: status.New(codes.Unavailable, wait.what), cause: wait.cause}
		}
	}
	return status.Error(codes.Unavailable, "the backend has not answered yet")
}

// RefreshSchema reads the schema again, together with the message types that a
// Resolver was asked for and did not know, and returns it. Callers at the same
// time share a reading; each gets one that began after its call. A schema that
// does not come by reflection is returned as it is.
func (u *Upstream) RefreshSchema(ctx context.Context) (*Schema, error) {
	k := u.schema
	k.mu.Lock()
	if !k.reflective {
		defer k.mu.Unlock()
		return k.current, nil
	}
	if k.over {
		k.mu.Unlock()
		return nil, errClosed
	}
	if k.next == nil {
		k.next = &refresh{done: make(chan struct{})}
	}
	r := k.next
	k.mu.Unlock()
	k.poke()

	select {
	case <-r.done:
		return r.schema, r.err
	case <-ctx.Done():
		return nil, &prefixedError{"the schema of upstream " + u.params.Name + " was not read again", status.FromContextError(ctx.Err()).Err()}
	}
}

// poke has follow look whether there is something to read.
func (k *schemaKeeper) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// want remembers a message type for the next reading. The oldest is forgotten
// when there are too many.
func (k *schemaKeeper) want(name protoreflect.FullName) {
	if len(name) > maxTypeName || !name.IsValid() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if slices.Contains(k.wanted, name) {
		return
	}
	if len(k.wanted) == maxWanted {
		k.wanted = slices.Delete(k.wanted, 0, 1)
	}
	k.wanted = append(k.wanted, name)
}

// follow reads the schema until ctx ends: at first, on each new connection, and
// when it is asked to.
func (k *schemaKeeper) follow(ctx context.Context, u *Upstream) {
	defer k.finish()
	pause := schemaRetryFirst
	var lost map[protoreflect.FullName]bool
	for {
		previous := u.Schema()
		r, wanted := k.begin()
		result, err := u.readSchema(ctx, wanted)
		if ctx.Err() != nil {
			k.settle(u, r, reading{}, errClosed)
			return
		}
		k.settle(u, r, result, err)
		if err == nil {
			lost = result.schema.lost(previous, lost)
		}

		var again <-chan time.Time
		if err == nil && len(lost) == 0 {
			pause = schemaRetryFirst
		} else {
			if status.Code(err) == codes.Unimplemented {
				pause = schemaRetryLast
			}
			again = time.After(pause/2 + rand.N(pause/2+1))
			pause = min(2*pause, schemaRetryLast)
		}
		if !k.due(ctx, u, result.generation, again) {
			return
		}
	}
}

// due waits until the schema should be read again; it reports false when ctx
// ends. seen is the connection that was asked last.
func (k *schemaKeeper) due(ctx context.Context, u *Upstream, seen uint64, again <-chan time.Time) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-again:
			return true
		case <-k.wake:
			k.mu.Lock()
			asked := k.next != nil
			k.mu.Unlock()
			if asked || (u.pool != nil && u.pool.newestGeneration() != seen) {
				return true
			}
		}
	}
}

// begin takes the refresh that is asked for, if any, and what it is to find.
func (k *schemaKeeper) begin() (*refresh, []protoreflect.FullName) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.next
	k.next = nil
	return r, slices.Clone(k.wanted)
}

// settle takes a reading's result.
func (k *schemaKeeper) settle(u *Upstream, r *refresh, result reading, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	schema := result.schema
	switch {
	case err != nil:
		if !errors.Is(err, errClosed) && k.newsLocked(err) {
			k.told, k.toldAt = err, time.Now()
			u.logger.Warn("the schema could not be read, trying again", "error", clip(err))
		}
		k.err = err
	case k.current != nil && k.current.sum == schema.sum:
		schema, k.err = k.current, nil
	default:
		u.logger.Info("the schema is read", "services", len(schema.services), "unreadable", len(schema.broken))
		if len(result.misfit) > 0 {
			u.logger.Warn("services whose files contradict those of others have types of their own", "services", result.misfit)
		}
		k.current, k.err = schema, nil
		close(k.changed)
		k.changed = make(chan struct{})
	}
	k.wanted = slices.DeleteFunc(k.wanted, func(name protoreflect.FullName) bool {
		return slices.Contains(result.absent, name)
	})
	if r != nil {
		r.schema, r.err = schema, err
		close(r.done)
	}
}

// newsLocked says whether the log should hear of a failure.
func (k *schemaKeeper) newsLocked(err error) bool {
	if k.told == nil {
		return true
	}
	if k.err != nil && k.told.Error() == err.Error() {
		return false // it goes on
	}
	return time.Since(k.toldAt) >= failureSilence || status.Convert(k.told).Message() != status.Convert(err).Message()
}

// finish refuses what was asked for and will not be read any more.
func (k *schemaKeeper) finish() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.over = true
	if k.next != nil {
		k.next.err = errClosed
		close(k.next.done)
		k.next = nil
	}
}
