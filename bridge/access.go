package bridge

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/ssebridge/ssebridge/internal/logqueue"
	"github.com/ssebridge/ssebridge/internal/printable"
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

// newLog makes the bridge's logger. No line is written by the goroutine that logs it, because a
// log whose reader stalls would stop the bridge: a queue writes them all, the Logger's own if it
// has one (the command's does).
func (b *Bridge) newLog() {
	b.logger = b.opts.logger()
	if b.lines, b.log = logqueue.Of(b.logger.Handler()); b.lines != nil {
		return
	}
	b.log = b.logger.Handler()
	b.lines, b.ownLines = logqueue.New(b.log), true
	b.logger = slog.New(b.lines.Handler())
}

// closeLog waits until the queue has written what the bridge has logged, unless the queue
// outlives the bridge. It does not wait for long for a log that accepts nothing.
func (b *Bridge) closeLog() error {
	if !b.ownLines || b.lines.Flush(closeGrace) {
		return nil
	}
	return errLogStuck
}

// journal logs requests. The goroutine that serves a request does not even format its line. Its
// methods are safe for concurrent use; a nil journal logs nothing.
type journal struct {
	log   slog.Handler // writes at once
	lines *logqueue.Queue
	begun bool // also logs streams that begin
}

// line is an access line that waits to be written.
type line struct {
	log     slog.Handler
	at      time.Time
	message string
	visit   *visit // only the fields that no longer change are read
	more    []slog.Attr
}

// newJournal makes a journal. It is nil where requests are not logged.
func newJournal(log slog.Handler, lines *logqueue.Queue, access AccessLog) *journal {
	if access == AccessOff || !log.Enabled(context.Background(), slog.LevelInfo) {
		return nil
	}
	return &journal{log: log, lines: lines, begun: access == AccessAll}
}

// Write implements logqueue.Line.
func (l *line) Write() error {
	record := slog.NewRecord(l.at, slog.LevelInfo, l.message, 0)
	record.AddAttrs(l.visit.attrs()...)
	record.AddAttrs(l.more...)
	return l.log.Handle(context.Background(), record)
}

// put queues a line.
func (j *journal) put(l *line) {
	l.log = j.log
	j.lines.PutMinor(l)
}

// begins logs that a stream begins, and the id that its client came with.
func (j *journal) begins(v *visit, start start, from string) {
	if j == nil || !j.begun {
		return
	}
	more := []slog.Attr{slog.String("start", start.how)}
	if start.gap != "" {
		more = append(more, slog.String("gap", start.gap))
	}
	if from != "" {
		more = append(more, slog.String("from_id", printable.Text(from, idBytes)))
	}
	j.put(&line{at: time.Now(), message: "stream begins", visit: v, more: more})
}

// ends logs that a stream has ended.
func (j *journal) ends(v *visit, bytes uint64) {
	if j == nil {
		return
	}
	now := time.Now()
	more := []slog.Attr{
		slog.String("reason", v.reason), seconds(v.age(now)),
		slog.Uint64("events", v.events), slog.Uint64("bytes", bytes),
	}
	if v.last != "" {
		more = append(more, slog.String("last_id", printable.Text(v.last, idBytes)))
	}
	j.put(&line{at: now, message: "stream ended", visit: v, more: more})
}

// answers logs a request that was answered without a stream.
func (j *journal) answers(v *visit) {
	if j == nil {
		return
	}
	now := time.Now()
	more := []slog.Attr{seconds(v.age(now))}
	if v.status == 0 { // the client has gone, or the answer was given up
		more = append(more, slog.String("reason", "aborted"))
	} else {
		more = append(more, slog.Int("status", int(v.status)), slog.Int("bytes", v.bytes))
		more = append(more, v.refusal.attrs()...)
	}
	j.put(&line{at: now, message: "request", visit: v, more: more})
}

// seconds is how long something took, to the millisecond.
func seconds(d time.Duration) slog.Attr {
	return slog.Float64("seconds", d.Round(time.Millisecond).Seconds())
}

// attrs are the fields of all lines about a visit. They do not change any more.
func (v *visit) attrs() []slog.Attr {
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("request_id", v.id))
	if v.endpoint != nil {
		attrs = append(attrs, slog.String("route", v.endpoint.route.Path))
	}
	attrs = append(attrs, slog.String("method", v.method.Value()), slog.String("path", v.path.Value()))
	if v.client.IsValid() {
		attrs = append(attrs, slog.String("client", v.client.String()))
	}
	attrs = append(attrs, slog.String("http", v.protocol.String()), slog.String("transport", v.transport.String()))
	if agent := v.agent.Value(); agent != "" {
		attrs = append(attrs, slog.String("user_agent", agent))
	}
	return attrs
}
