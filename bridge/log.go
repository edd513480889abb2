package bridge

import (
	"errors"
	"log/slog"

	"github.com/ssebridge/ssebridge/internal/logqueue"
)

// AccessLog says which lines about requests a Logger gets, at slog.LevelInfo.
type AccessLog int

// The lines that are logged for requests; docs/logs-and-traces.md has their fields.
const (
	AccessOff  AccessLog = iota // nothing
	AccessEnds                  // a line for each request, when its answer has ended
	AccessAll                   // and one at the beginning of each stream
)

// errLogStuck says that lines may be missing.
var errLogStuck = errors.New("bridge: the log accepts no lines; the last ones are not written")

// log is the bridge's log. No line is written by the goroutine that logs it, because a log
// whose reader stalls would stop the bridge: a queue writes them all, the Logger's own if it
// has one (the command's does).
type log struct {
	logger  *slog.Logger
	lines   *logqueue.Queue // writes the lines of logger, and access lines
	handler slog.Handler    // that lines writes to
	own     bool            // lines ends with the bridge
}

func newLog(logger *slog.Logger) *log {
	l := &log{logger: logger, handler: logger.Handler()}
	if lines, handler := logqueue.Of(logger.Handler()); lines != nil {
		l.lines, l.handler = lines, handler
		return l
	}
	l.lines, l.own = logqueue.New(l.handler), true
	l.logger = slog.New(l.lines.Handler())
	return l
}

// close waits until the queue has written what the bridge has logged, unless the queue
// outlives the bridge. It does not wait for long for a log that accepts nothing.
func (l *log) close() error {
	if !l.own || l.lines.Flush(closeGrace) {
		return nil
	}
	return errLogStuck
}
