package watch

import (
	"crypto/sha256"
	"io"

	"github.com/ssebridge/ssebridge/internal/regular"
)

// maxRead is how much of a file is read: what a descriptor set may have, and one more.
const maxRead = 64<<20 + 1

// fingerprint tells one content of a file from another. Its zero value is of a file that
// is not there, or cannot be read.
type fingerprint [sha256.Size]byte

// takeFingerprint reads a file.
func takeFingerprint(name string) fingerprint {
	file, err := regular.Open(name)
	if err != nil {
		return fingerprint{}
	}
	defer file.Close() //nolint:errcheck // it was only read
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(file, maxRead)); err != nil {
		return fingerprint{}
	}
	return fingerprint(sum.Sum(nil))
}
