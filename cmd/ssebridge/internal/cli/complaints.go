package cli

import (
	"bytes"
	"log"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// complainAgain is how often the log repeats a line that any peer can provoke.
const complainAgain = 10 * time.Second

// handshakeFailed begins the line that http.Server logs for a TLS handshake that failed.
const handshakeFailed = "http: TLS handshake error"

// provoked begin the lines that http.Server and HTTP/2's server log for peers that break a
// protocol.
func provoked() []string {
	return []string{handshakeFailed, "http2: server", "timeout waiting for SETTINGS"}
}

// complaints takes the lines that http.Server logs. Any peer can make it log failed
// handshakes and HTTP/2 errors as often as it likes: of each of these the first is logged,
// and later how many were left out. Everything else, panics above all, is logged as it
// comes.
type complaints struct {
	logger     *slog.Logger
	handshakes *atomic.Uint64 // TLS handshakes that failed; nil: not counted

	mu    sync.Mutex
	kinds []complaint
}

// complaint counts the lines of one kind.
type complaint struct {
	begins  string
	last    time.Time
	leftOut int
}

// newComplaints makes the log of a server, which also counts its TLS handshakes that fail.
func newComplaints(logger *slog.Logger, handshakes *atomic.Uint64) *log.Logger {
	c := &complaints{logger: logger, handshakes: handshakes}
	for _, begins := range provoked() {
		c.kinds = append(c.kinds, complaint{begins: begins})
	}
	return log.New(c, "", 0)
}

// Write takes one line.
func (c *complaints) Write(line []byte) (int, error) {
	if c.handshakes != nil && bytes.HasPrefix(line, []byte(handshakeFailed)) {
		c.handshakes.Add(1)
	}
	leftOut, tell := c.count(line)
	if !tell {
		return len(line), nil
	}
	var more []any
	if leftOut > 0 {
		more = []any{"left_out_before", leftOut}
	}
	c.logger.Warn(string(bytes.TrimSpace(line)), more...)
	return len(line), nil
}

// count reports whether a line is to be told, and how many of its kind were not.
func (c *complaints) count(line []byte) (leftOut int, tell bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.kinds {
		kind := &c.kinds[i]
		if !bytes.HasPrefix(line, []byte(kind.begins)) {
			continue
		}
		now := time.Now()
		if now.Sub(kind.last) < complainAgain {
			kind.leftOut++
			return 0, false
		}
		leftOut, kind.last, kind.leftOut = kind.leftOut, now, 0
		return leftOut, true
	}
	return 0, true
}
