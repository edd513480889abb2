package bridge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// AccessLog says which lines about requests a Logger gets, at slog.LevelInfo.
type AccessLog int

// What is told of requests. docs/logs-and-traces.md has the lines' fields.
const (
	AccessOff  AccessLog = iota // nothing
	AccessEnds                  // a line for each request, when its answer has ended
	AccessAll                   // and one at the beginning of each stream
)

const (
	// journalLines is how many lines may wait to be written: those of some thousand
	// clients that come back at once. A waiting line costs some 300 bytes.
	journalLines = 8192
	// droppedEvery spaces what is said about lines that found no room.
	droppedEvery = time.Second
)

// errJournalStuck says that lines may be missing.
var errJournalStuck = errors.New("bridge: the log takes nothing; the last access lines are not written")

// journal writes lines about requests. Who tells it something does not wait, for
// whom it serves would wait too: what finds no room is counted. Its methods are safe
// for concurrent use; a nil journal takes nothing.
type journal struct {
	handler slog.Handler
	begun   bool // streams that begin are told

	lines   chan *line // never closed, since requests may outlive the bridge
	dropped atomic.Int64
	once    sync.Once
	quit    chan struct{} // closed once
	ended   chan struct{} // closed when the writer has

	said time.Time // when dropped lines were last told of; the writer's
}

// line is one line: what is special about it, and whom it is about.
type line struct {
	at      time.Time
	message string
	visit   *visit // whose later changes are not looked at
	more    []slog.Attr
}

// newJournal makes a journal, nil where nothing is to be told.
func newJournal(logger *slog.Logger, access AccessLog) *journal {
	if access == AccessOff || !logger.Enabled(context.Background(), slog.LevelInfo) {
		return nil
	}
	j := &journal{
		handler: logger.Handler(), begun: access == AccessAll,
		lines: make(chan *line, journalLines), quit: make(chan struct{}), ended: make(chan struct{}),
	}
	go j.run()
	return j
}

// close writes what waits, and returns when that is done. A log that takes nothing
// is given up after a while: its writer ends when it takes something again.
func (j *journal) close() error {
	if j == nil {
		return nil
	}
	j.once.Do(func() { close(j.quit) })
	patience := time.NewTimer(closeGrace)
	defer patience.Stop()
	select {
	case <-j.ended:
		return nil
	case <-patience.C:
		return errJournalStuck
	}
}

// run writes until the journal is closed.
func (j *journal) run() {
	defer close(j.ended)
	for {
		select {
		case l := <-j.lines:
			j.write(l)
		case <-j.quit:
			for len(j.lines) > 0 {
				j.write(<-j.lines)
			}
			return
		}
	}
}

// write writes a line, and tells of those that found no room before it.
func (j *journal) write(l *line) {
	record := slog.NewRecord(l.at, slog.LevelInfo, l.message, 0)
	record.AddAttrs(l.visit.attrs()...)
	record.AddAttrs(l.more...)
	j.handle(record)
	if j.dropped.Load() > 0 && (len(j.lines) == 0 || time.Since(j.said) >= droppedEvery) {
		j.said = time.Now()
		record := slog.NewRecord(j.said, slog.LevelWarn, "the log is too slow: access lines were dropped", 0)
		record.AddAttrs(slog.Int64("lines", j.dropped.Swap(0)))
		j.handle(record)
	}
}

// handle writes a record. There is nobody to tell of an error.
func (j *journal) handle(record slog.Record) {
	_ = j.handler.Handle(context.Background(), record)
}

// tell has a line written.
func (j *journal) tell(l *line) {
	select {
	case j.lines <- l:
	default:
		j.dropped.Add(1)
	}
}

// begins tells of a stream that begins, and where its client says that it stands.
func (j *journal) begins(v *visit, start start, from string) {
	if j == nil || !j.begun {
		return
	}
	more := []slog.Attr{slog.String("start", start.how)}
	if start.gap != "" {
		more = append(more, slog.String("gap", start.gap))
	}
	if from != "" {
		more = append(more, slog.String("from_id", shown(from, idBytes)))
	}
	j.tell(&line{at: time.Now(), message: "stream begins", visit: v, more: more})
}

// ends tells of a stream that has ended.
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
		more = append(more, slog.String("last_id", shown(v.last, idBytes)))
	}
	j.tell(&line{at: now, message: "stream ended", visit: v, more: more})
}

// answers tells of a request that was answered without a stream.
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
	}
	j.tell(&line{at: now, message: "request", visit: v, more: more})
}

// seconds is how long something took, to the millisecond.
func seconds(d time.Duration) slog.Attr {
	return slog.Float64("seconds", d.Round(time.Millisecond).Seconds())
}

// attrs are what all lines say about a visit: of it, what does not change.
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
