package watch

import (
	"crypto/sha256"
	"io"
	"os"
)

// maxRead is how much of a file is read; what is watched is smaller.
const maxRead = 4 << 20

// fingerprint tells one content of a file from another. Its zero value is of a file that
// is not there, or cannot be read.
type fingerprint [sha256.Size]byte

// takeFingerprint reads a file.
func takeFingerprint(name string) fingerprint {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return fingerprint{} // nobody writes to a pipe only because it is watched
	}
	file, err := os.Open(name) //nolint:gosec // the operator names the file
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
