package bridge

import (
	"errors"
	"log/slog"

	"github.com/ssebridge/ssebridge/internal/logqueue"
)

// AccessLog selects the lines about requests that a Logger gets, at slog.LevelInfo.
type AccessLog int

// The access logs. docs/logs-and-traces.md lists the fields of their lines.
const (
	AccessOff  AccessLog = iota // no lines
	AccessEnds                  // a line for each request, at the end of its answer
	AccessAll                   // also a line at the beginning of each stream
)

// errLogStuck says that the last lines may be missing.
var errLogStuck = errors.New("bridge: the log accepts no lines; the last ones are not written")

// log is the bridge's log. All lines go through a queue, so that a log whose reader stalls does
// not block the goroutines that log. If the Logger has a queue, as the command's does, that is
// used.
type log struct {
	logger  *slog.Logger
	lines   *logqueue.Queue // the queue of logger's lines and access lines
	handler slog.Handler    // the handler behind the queue
	own     bool            // the queue belongs to the bridge
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

// close waits until the bridge's own queue is written, for closeGrace at most.
func (l *log) close() error {
	if !l.own || l.lines.Flush(closeGrace) {
		return nil
	}
	return errLogStuck
}
