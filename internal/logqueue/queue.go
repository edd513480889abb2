package logqueue

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Room is the number of lines that may wait, enough for a few thousand clients that reconnect
	// at once. A waiting line takes a few hundred bytes.
	Room = 8192
	// reserve is the part of Room that is closed to minor lines, so that a flood of access lines
	// does not displace the line that names its cause.
	reserve = Room / 8
	// kept is the capacity that an empty queue keeps allocated.
	kept = 256
	// reportEvery is the shortest time between two reports of lost lines.
	reportEvery = time.Second
)

// Line is a line of the log.
type Line interface {
	// Write writes the line. It is called once, by the queue's goroutine, and may block.
	Write() error
}

// Lost counts the lines that are missing in the log.
type Lost struct {
	Dropped uint64 // lines that found no room in the queue
	Failed  uint64 // failed writes: a full disk, a reader that is gone
}

// Queue holds lines until they are written. Its methods are safe for concurrent use.
type Queue struct {
	log slog.Handler // takes the reports of lost lines

	dropped, failed atomic.Uint64

	mu    sync.Mutex
	lines []Line        // those from head on wait
	head  int           // the lines before it have been taken
	idle  chan struct{} // closed when the writer ends; nil while there is none

	// Owned by the writer.
	reported   Lost
	reportedAt time.Time
	cause      error // the error of the last failed write
}

// New makes a queue for a log.
func New(log slog.Handler) *Queue { return &Queue{log: log} }

// Put queues a line, or drops it if there is no room.
func (q *Queue) Put(line Line) { q.put(line, Room) }

// PutMinor queues a line like Put, but leaves some room for the lines of Put.
func (q *Queue) PutMinor(line Line) { q.put(line, Room-reserve) }

func (q *Queue) put(line Line, room int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.lines)-q.head >= room {
		q.dropped.Add(1)
		return
	}
	if len(q.lines) == cap(q.lines) && q.head > 0 {
		n := copy(q.lines, q.lines[q.head:])
		clear(q.lines[n:])
		q.lines, q.head = q.lines[:n], 0
	}
	q.lines = append(q.lines, line)
	if q.idle == nil {
		q.idle = make(chan struct{})
		go q.write()
	}
}

// Lost returns how many lines have been lost so far.
func (q *Queue) Lost() Lost { return Lost{Dropped: q.dropped.Load(), Failed: q.failed.Load()} }

// Flush waits until all lines are written, at most for patience, and reports whether they are. A
// blocked writer ends by itself once the log accepts its lines.
func (q *Queue) Flush(patience time.Duration) bool {
	q.mu.Lock()
	idle := q.idle
	q.mu.Unlock()
	if idle == nil {
		return true
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-idle:
		return true
	case <-late.C:
		return false
	}
}

// write writes lines until there are none.
func (q *Queue) write() {
	for {
		line, last := q.take()
		if line == nil {
			return
		}
		if q.count(line.Write()) {
			q.report(last)
		}
	}
}

// take removes the oldest line and reports whether it is the last one. If there is none, it ends
// the writer.
func (q *Queue) take() (line Line, last bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head < len(q.lines) {
		line, q.lines[q.head] = q.lines[q.head], nil
		q.head++
		return line, q.head == len(q.lines)
	}
	q.lines, q.head = q.lines[:0], 0
	if cap(q.lines) > kept {
		q.lines = nil
	}
	close(q.idle)
	q.idle = nil
	return nil, true
}

// count counts a failed write, and reports whether the write succeeded.
func (q *Queue) count(err error) bool {
	if err != nil {
		q.failed.Add(1)
		q.cause = err
	}
	return err == nil
}

// report logs how many lines were lost since the last report, if the queue is empty or reportEvery
// has passed. It repeats a failed report later.
func (q *Queue) report(last bool) {
	lost := q.Lost()
	if lost == q.reported || !last && time.Since(q.reportedAt) < reportEvery {
		return
	}
	q.reportedAt = time.Now()
	record := slog.NewRecord(q.reportedAt, slog.LevelWarn, "log lines were lost", 0)
	record.AddAttrs(slog.Uint64("dropped", lost.Dropped-q.reported.Dropped), slog.Uint64("failed", lost.Failed-q.reported.Failed))
	if q.cause != nil {
		record.AddAttrs(slog.String("error", q.cause.Error()))
	}
	if err := q.log.Handle(context.Background(), record); err != nil {
		q.cause = err // the report itself does not count as a lost line
		return
	}
	q.reported, q.cause = lost, nil
}
