package tokens

import (
	"context"
	"crypto"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/ssebridge/ssebridge/bridge/internal/auth"
	"github.com/ssebridge/ssebridge/internal/pause"
	"github.com/ssebridge/ssebridge/internal/printable"
)

// maxKeysTried bounds the keys that a token without a key id is tried with.
const maxKeysTried = 16

// Times between two attempts to read a key set that cannot be read. They double.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// errorBytes bounds the logged text of an error.
const errorBytes = 1 << 10

// pace is how often a key set is read: every so often, and at most once in unknown because of a token
// whose key is not in it.
type pace struct{ every, unknown time.Duration }

// keySet is an issuer's key set. It is read in the background, and at once when a token has a key that is
// not in it: an issuer may sign with a new key as soon as it has published it. All requests that wait
// for the key set wait for one reading.
type keySet struct {
	issuer  string
	fetcher *fetcher
	pace    pace
	logger  *slog.Logger
	life    context.Context //nolint:containedctx // of readings, which outlive the request that causes them
	stop    context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	keys    map[string][]jwkset.JWK // by id; nil until the key set was read
	failed  error                   // of the newest reading
	extra   time.Time               // when a token last caused a reading
	reading chan struct{}           // closed at the end of the reading that is under way; nil: none
}

func newKeySet(issuer string, f *fetcher, p pace, logger *slog.Logger) *keySet {
	k := &keySet{issuer: issuer, fetcher: f, pace: p, logger: logger}
	k.life, k.stop = context.WithCancel(context.Background())
	return k
}

// start begins to read the key set, now and then again and again.
func (k *keySet) start() {
	k.mu.Lock()
	first := k.read()
	k.mu.Unlock()
	k.running.Go(func() { k.keepUp(first) })
}

func (k *keySet) close() {
	k.stop()
	k.running.Wait()
	k.fetcher.close()
}

// keepUp reads the key set again and again.
func (k *keySet) keepUp(reading <-chan struct{}) {
	retry := firstRetry
	for {
		<-reading
		wait := k.pace.every
		if k.newestError() != nil {
			wait = min(wait, retry)
			retry = min(2*retry, lastRetry)
		} else {
			retry = firstRetry
		}
		if pause.For(k.life, wait) != nil {
			return
		}
		k.mu.Lock()
		reading = k.read()
		k.mu.Unlock()
	}
}

func (k *keySet) newestError() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failed
}

// read begins to read the key set, unless that is under way, and returns a channel that is closed when
// it has been read or could not be. The caller holds mu.
func (k *keySet) read() <-chan struct{} {
	if k.reading != nil {
		return k.reading
	}
	done := make(chan struct{})
	k.reading = done
	k.running.Go(func() {
		found, err := k.fetcher.fetch(k.life)
		k.mu.Lock()
		defer k.mu.Unlock()
		k.report(err)
		if err == nil || errors.Is(err, errNoKeys) {
			k.keys = byID(found)
		}
		k.failed, k.reading = err, nil
		close(done)
	})
	return done
}

// report logs that the key set cannot be read, and that it can be again. The caller holds mu.
func (k *keySet) report(err error) {
	switch {
	case k.life.Err() != nil:
	case err != nil && k.failed == nil:
		k.logger.Warn("the keys of an issuer cannot be read; tokens are verified by the last ones, if there are any",
			"issuer", k.issuer, "error", printable.Text(err.Error(), errorBytes))
	case err == nil && k.failed != nil:
		k.logger.Info("the keys of an issuer can be read again", "issuer", k.issuer)
	}
}

// find returns the keys for a token with this key id and algorithm; an empty id stands for any key. If the
// set has none, find reads it again. The error is errNoKey, or auth.ErrUnavailable if it is not known
// which keys the issuer has.
func (k *keySet) find(ctx context.Context, id, algorithm string) (jwt.VerificationKeySet, error) {
	if keys := k.suitable(id, algorithm); len(keys.Keys) > 0 {
		return keys, nil
	}
	if err := k.renew(ctx); err != nil {
		return jwt.VerificationKeySet{}, err
	}
	if keys := k.suitable(id, algorithm); len(keys.Keys) > 0 {
		return keys, nil
	}
	return jwt.VerificationKeySet{}, errNoKey
}

// renew waits until the key set has been read because of a token whose key is not in it, or since such a
// reading is not long ago, returns at once. The error is auth.ErrUnavailable if the newest reading failed.
func (k *keySet) renew(ctx context.Context) error {
	k.mu.Lock()
	reading := k.reading
	if reading == nil && time.Since(k.extra) >= k.pace.unknown {
		k.extra = time.Now()
		k.read()
		reading = k.reading
	}
	k.mu.Unlock()
	if reading != nil {
		select {
		case <-reading:
		case <-ctx.Done():
			return auth.ErrUnavailable
		}
	}
	if k.newestError() != nil {
		return auth.ErrUnavailable
	}
	return nil
}

// suitable returns the keys of the set for an id and an algorithm.
func (k *keySet) suitable(id, algorithm string) (found jwt.VerificationKeySet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	add := func(keys []jwkset.JWK) {
		for _, key := range keys {
			if verifies(key, algorithm) && len(found.Keys) < maxKeysTried {
				found.Keys = append(found.Keys, public(key))
			}
		}
	}
	if id != "" {
		add(k.keys[id])
		return found
	}
	for _, keys := range k.keys {
		add(keys)
	}
	return found
}

// verifies reports whether a key is meant for signatures by an algorithm.
func verifies(key jwkset.JWK, algorithm string) bool {
	m := key.Marshal()
	return (m.USE == "" || m.USE == jwkset.UseSig) && (m.ALG == "" || m.ALG.String() == algorithm) && public(key) != nil
}

// public returns the public part of a key; nil for a symmetric key, which a key set must not have.
func public(key jwkset.JWK) crypto.PublicKey {
	switch k := key.Key().(type) {
	case []byte:
		return nil
	case interface{ Public() crypto.PublicKey }:
		return k.Public()
	default:
		return k
	}
}

// byID returns keys by their ids.
func byID(keys []jwkset.JWK) map[string][]jwkset.JWK {
	found := make(map[string][]jwkset.JWK, len(keys))
	for _, key := range keys {
		id := key.Marshal().KID
		found[id] = append(found[id], key)
	}
	return found
}

// errNoKeys says that a key set has no key that the bridge can use.
var errNoKeys = errors.New("the key set has no key of a known type")
