package cli

import (
	"bytes"
	"log"
	"log/slog"
	"sync"
	"time"
)

// complainAgain is how often the log tells of handshakes that failed.
const complainAgain = 10 * time.Second

// handshakeFailed begins what http.Server says of a TLS handshake that failed.
const handshakeFailed = "http: TLS handshake error"

// complaints takes what http.Server says. That handshakes fail whoever connects can have
// it say as often as they like: of these it tells the first, and how many were left out
// since the one before. Everything else, panics above all, is told as it comes.
type complaints struct {
	logger *slog.Logger

	mu      sync.Mutex
	last    time.Time
	leftOut int
}

// newComplaints makes the log of a server.
func newComplaints(logger *slog.Logger) *log.Logger {
	return log.New(&complaints{logger: logger}, "", 0)
}

// Write takes one line.
func (c *complaints) Write(line []byte) (int, error) {
	if !bytes.HasPrefix(line, []byte(handshakeFailed)) {
		c.logger.Warn(string(bytes.TrimSpace(line)))

		return len(line), nil
	}
	now := time.Now()
	c.mu.Lock()
	if now.Sub(c.last) < complainAgain {
		c.leftOut++
		c.mu.Unlock()

		return len(line), nil
	}
	leftOut := c.leftOut
	c.last, c.leftOut = now, 0
	c.mu.Unlock()
	var more []any
	if leftOut > 0 {
		more = []any{"left_out_before", leftOut}
	}
	c.logger.Warn(string(bytes.TrimSpace(line)), more...)

	return len(line), nil
}
