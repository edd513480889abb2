package observe

import (
	"context"
	"log/slog"
	"time"

	"github.com/ssebridge/ssebridge/internal/logqueue"
	"github.com/ssebridge/ssebridge/internal/printable"
)

// journal writes access lines. Lines are formatted by the queue's goroutine, not by the one
// that serves the request. Its methods are safe for concurrent use; a nil journal logs
// nothing.
type journal struct {
	log   slog.Handler // writes without a queue
	lines *logqueue.Queue
	begun bool // streams also have a line when they begin
}

// line is an access line in the queue.
type line struct {
	log     slog.Handler
	at      time.Time
	message string
	record  *Record // Write reads only fields that no longer change
	more    []slog.Attr
}

// newJournal returns a journal, nil if requests are not logged.
func newJournal(params Params) *journal {
	if !params.Ends || !params.Log.Enabled(context.Background(), slog.LevelInfo) {
		return nil
	}
	return &journal{log: params.Log, lines: params.Lines, begun: params.Begins}
}

// Write implements logqueue.Line.
func (l *line) Write() error {
	record := slog.NewRecord(l.at, slog.LevelInfo, l.message, 0)
	record.AddAttrs(attrsOf(l.record)...)
	record.AddAttrs(l.more...)
	return l.log.Handle(context.Background(), record)
}

// put queues a line.
func (j *journal) put(l *line) {
	l.log = j.log
	j.lines.PutMinor(l)
}

// logBegin logs that a stream begins, with the client's Last-Event-ID.
func (j *journal) logBegin(rec *Record, start Start, from string) {
	if j == nil || !j.begun {
		return
	}
	more := []slog.Attr{slog.String("start", start.how)}
	if start.gap != "" {
		more = append(more, slog.String("gap", string(start.gap)))
	}
	if from != "" {
		more = append(more, slog.String("from_id", printable.Text(from, idBytes)))
	}
	j.put(&line{at: time.Now(), message: "stream begins", record: rec, more: more})
}

// logEnd logs the end of a stream.
func (j *journal) logEnd(rec *Record, bytes uint64) {
	if j == nil {
		return
	}
	now := time.Now()
	more := []slog.Attr{
		slog.String("reason", rec.reason), seconds(rec.Age(now)),
		slog.Uint64("events", rec.events), slog.Uint64("bytes", bytes),
	}
	if rec.last != "" {
		more = append(more, slog.String("last_id", printable.Text(rec.last, idBytes)))
	}
	j.put(&line{at: now, message: "stream ended", record: rec, more: more})
}

// logAnswer logs a request whose answer is not a stream.
func (j *journal) logAnswer(rec *Record) {
	if j == nil {
		return
	}
	now := time.Now()
	more := []slog.Attr{seconds(rec.Age(now))}
	if rec.status == 0 { // the client closed the connection, or the handler aborted the answer
		more = append(more, slog.String("reason", "aborted"))
	} else {
		more = append(more, slog.Int("status", int(rec.status)), slog.Int("bytes", rec.bytes))
		more = append(more, rec.refusal.attrs()...)
	}
	j.put(&line{at: now, message: "request", record: rec, more: more})
}

// seconds returns a duration as an attribute, rounded to milliseconds.
func seconds(d time.Duration) slog.Attr {
	return slog.Float64("seconds", d.Round(time.Millisecond).Seconds())
}

// attrsOf returns the attributes that all lines about a request share. They no longer
// change.
func attrsOf(rec *Record) []slog.Attr {
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("request_id", rec.id))
	if rec.route != "" {
		attrs = append(attrs, slog.String("route", rec.route))
	}
	attrs = append(attrs, slog.String("method", rec.method.Value()), slog.String("path", rec.path.Value()))
	if rec.client.IsValid() {
		attrs = append(attrs, slog.String("client", rec.client.String()))
	}
	attrs = append(attrs, slog.String("http", rec.protocol.String()), slog.String("transport", rec.transport.String()))
	if agent := rec.agent.Value(); agent != "" {
		attrs = append(attrs, slog.String("user_agent", agent))
	}
	return attrs
}
