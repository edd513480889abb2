package sse

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
)

// The parts of an epoch, in letters and digits of 5 bits each.
const (
	secretChars = 20 // random, so that a client cannot guess the epoch of another one's log
	checkChars  = 3  // a checksum of them: text that no bridge wrote lacks it
	markChars   = 3  // a keyed checksum: only the bridge that wrote it knows its own
	epochBytes  = secretChars + checkChars + markChars

	epochAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
)

// Epochs names the logs of one bridge, and tells the names that it has given
// from those of other bridges, of the same bridge before a restart among them.
// One name in 32,768 is taken for the bridge's own by mistake. It is safe for
// concurrent use.
type Epochs struct{ key []byte }

// NewEpochs returns the epochs of a bridge that starts.
func NewEpochs() *Epochs { return &Epochs{key: []byte(rand.Text())} }

// New returns the name of a new log: 100 random bits, and what tells whose it is.
// The scope is the route's object; a log of another one is never this one's.
func (e *Epochs) New(scope uint64) string {
	secret := rand.Text()[:secretChars]
	return secret + checksum(secret) + e.mark(scope, secret)
}

// Wrote reports whether New returned an epoch for the scope.
func (e *Epochs) Wrote(scope uint64, epoch string) bool {
	return isEpoch(epoch) && epoch[secretChars+checkChars:] == e.mark(scope, epoch[:secretChars])
}

func (e *Epochs) mark(scope uint64, secret string) string {
	mac := hmac.New(sha256.New, e.key)
	mac.Write(binary.BigEndian.AppendUint64(nil, scope))
	mac.Write([]byte(secret))
	return letters(mac.Sum(nil), markChars)
}

// isEpoch reports whether some bridge may have written the epoch. Random text of
// the right length passes once in 32,768 times.
func isEpoch(epoch string) bool {
	return len(epoch) == epochBytes && strings.Trim(epoch, epochAlphabet) == "" &&
		epoch[secretChars:secretChars+checkChars] == checksum(epoch[:secretChars])
}

// checksum is what a bridge writes behind text of its own, so that it is known
// again without a secret: other replicas and later processes share none.
func checksum(text string) string {
	sum := sha256.Sum256([]byte("ssebridge " + text))
	return letters(sum[:], checkChars)
}

// letters returns the first bits of a sum in the alphabet of epochs.
func letters(sum []byte, n int) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum)[:n]
}
