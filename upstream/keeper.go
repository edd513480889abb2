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
	// A failed reading of a schema is retried with doubled, jittered pauses between these two. The
	// retries end when a reading succeeds on the current connection and has all earlier services
	// that the backend still lists. A new connection and RefreshSchema cut a pause short.
	schemaRetryFirst = 100 * time.Millisecond
	schemaRetryLast  = 30 * time.Second
	// failureSilence is how long the log does not repeat failures that differ only in their causes,
	// which may name other ports each time.
	failureSilence = time.Minute
	// maxWanted bounds the message types that are remembered for the next reading.
	maxWanted = 256
	// maxTypeName bounds their names.
	maxTypeName = 512
)

// schemaKeeper holds the newest schema and follows the backend's.
type schemaKeeper struct {
	// reflective is false for schemas that cannot change.
	reflective bool
	// wake holds one token: a reading is due that has not begun.
	wake chan struct{}

	mu       sync.Mutex
	current  *Schema       // nil while unknown
	changed  chan struct{} // closed and replaced when current changes
	err      error         // of the last reading; nil if it succeeded
	next     *refresh      // requested and not begun
	wanted   []protoreflect.FullName
	finished bool // no reading will follow
	// logged is the failure that the log reported last, at loggedAt.
	logged   error
	loggedAt time.Time
}

// refresh is a requested reading and its result.
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

// Schema returns the newest schema, nil while it is unknown.
func (u *Upstream) Schema() *Schema {
	u.schema.mu.Lock()
	defer u.schema.mu.Unlock()
	return u.schema.current
}

// SchemaChanged returns a channel that is closed when Schema next returns another value than at the
// time of the call. To miss no change, call it before Schema.
func (u *Upstream) SchemaChanged() <-chan struct{} {
	u.schema.mu.Lock()
	defer u.schema.mu.Unlock()
	return u.schema.changed
}

// awaitSchema returns the newest schema, and waits for the first. If ctx ends first, the error
// names the reason and carries the status of the last reading, or of the first if that goes on:
// UNAVAILABLE for a backend that is down, UNIMPLEMENTED for one without reflection, or the status
// of the backend's refusal.
func (u *Upstream) awaitSchema(ctx context.Context) (*Schema, error) {
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

// unread returns the reason why the schema has not been read: the error of the last reading or,
// while the first goes on, of the pool's attempts to connect.
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

// RefreshSchema reads the schema again, together with the unknown message types that a Resolver was
// asked for, and returns it. Concurrent callers share a reading; each gets one that began after its
// call. A schema that does not come by reflection is returned as it is.
func (u *Upstream) RefreshSchema(ctx context.Context) (*Schema, error) {
	k := u.schema
	k.mu.Lock()
	if !k.reflective {
		defer k.mu.Unlock()
		return k.current, nil
	}
	if k.finished {
		k.mu.Unlock()
		return nil, errClosed
	}
	if k.next == nil {
		k.next = &refresh{done: make(chan struct{})}
	}
	r := k.next
	k.mu.Unlock()
	k.wakeUp()

	select {
	case <-r.done:
		return r.schema, r.err
	case <-ctx.Done():
		return nil, &prefixedError{"the schema of upstream " + u.params.Name + " was not read again", status.FromContextError(ctx.Err()).Err()}
	}
}

// wakeUp makes follow check whether a reading is due.
func (k *schemaKeeper) wakeUp() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// want remembers a message type for the next reading. If there are too many it forgets the oldest.
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

// follow reads the schema until ctx ends: first at once, then on each new connection and on
// request.
func (k *schemaKeeper) follow(ctx context.Context, u *Upstream) {
	defer k.finish()
	pause := schemaRetryFirst
	var lost map[protoreflect.FullName]bool
	for {
		previous := u.Schema()
		r, wanted := k.begin()
		result, err := u.readSchema(ctx, wanted)
		if ctx.Err() != nil {
			k.record(u, r, reading{}, errClosed)
			return
		}
		k.record(u, r, result, err)
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

// due waits until the schema should be read again. It returns false when ctx ends. seen is the
// generation of the connection that was read last.
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

// begin takes the requested refresh, if any, and the wanted types.
func (k *schemaKeeper) begin() (*refresh, []protoreflect.FullName) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.next
	k.next = nil
	return r, slices.Clone(k.wanted)
}

// record stores a reading's result and completes the refresh.
func (k *schemaKeeper) record(u *Upstream, r *refresh, result reading, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	schema := result.schema
	switch {
	case err != nil:
		if !errors.Is(err, errClosed) && k.shouldLogLocked(err) {
			k.logged, k.loggedAt = err, time.Now()
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

// shouldLogLocked reports whether the log should report a failure.
func (k *schemaKeeper) shouldLogLocked(err error) bool {
	if k.logged == nil {
		return true
	}
	if k.err != nil && k.logged.Error() == err.Error() {
		return false // the failure persists
	}
	return time.Since(k.loggedAt) >= failureSilence || status.Convert(k.logged).Message() != status.Convert(err).Message()
}

// finish fails the requested refresh, which no reading will complete.
func (k *schemaKeeper) finish() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.finished = true
	if k.next != nil {
		k.next.err = errClosed
		close(k.next.done)
		k.next = nil
	}
}
