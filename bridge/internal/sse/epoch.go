package sse

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
)

// The parts of an epoch. Each letter or digit stands for 5 bits.
const (
	secretChars = 20 // random, so that a client cannot guess the epoch of a log that is not its own
	checkChars  = 3  // a checksum of the secret, which text from elsewhere does not have
	markChars   = 3  // a keyed checksum, which only the bridge that made the epoch can verify
	epochBytes  = secretChars + checkChars + markChars

	epochAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
)

// Epochs names the logs of one bridge, and recognises these names among those of other bridges and of
// earlier runs. One foreign name in 32,768 passes as the bridge's own. Epochs is safe for concurrent use.
type Epochs struct{ key []byte }

// NewEpochs returns the epochs of a bridge that starts, with a new key.
func NewEpochs() *Epochs { return &Epochs{key: []byte(rand.Text())} }

// New returns the name of a new log: 100 random bits and two checksums. The scope identifies the route: a
// log of another scope is not recognised.
func (e *Epochs) New(scope uint64) string {
	secret := rand.Text()[:secretChars]
	return secret + checksum(secret) + e.mark(scope, secret)
}

// Wrote reports whether New has returned the epoch for the scope.
func (e *Epochs) Wrote(scope uint64, epoch string) bool {
	return isEpoch(epoch) && epoch[secretChars+checkChars:] == e.mark(scope, epoch[:secretChars])
}

func (e *Epochs) mark(scope uint64, secret string) string {
	mac := hmac.New(sha256.New, e.key)
	mac.Write(binary.BigEndian.AppendUint64(nil, scope))
	mac.Write([]byte(secret))
	return letters(mac.Sum(nil), markChars)
}

// isEpoch reports whether a bridge, this or another, may have made the epoch. Random text of the right
// length passes once in 32,768 times.
func isEpoch(epoch string) bool {
	return len(epoch) == epochBytes && strings.Trim(epoch, epochAlphabet) == "" &&
		epoch[secretChars:secretChars+checkChars] == checksum(epoch[:secretChars])
}

// checksum marks text that a bridge has made. It has no key, since other replicas and later runs must
// recognise it too.
func checksum(text string) string {
	sum := sha256.Sum256([]byte("ssebridge " + text))
	return letters(sum[:], checkChars)
}

// letters returns the first n letters of a sum in the alphabet of epochs.
func letters(sum []byte, n int) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum)[:n]
}
