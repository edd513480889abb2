package failure

import (
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/ssebridge/ssebridge/internal/printable"
	"github.com/ssebridge/ssebridge/upstream"
)

const (
	// errorBytes is how much of an error is logged.
	errorBytes = 1 << 10
	// incidentWindow is how long failures of one cause share a line of the log
	// and an id.
	incidentWindow = 10 * time.Second
	// incidentCauses bounds the causes that have lines of their own within a
	// window. The others share one for each code.
	incidentCauses = 32
)

// incident is a failure whose details stay in the log, under an id that the
// client gets.
type incident struct {
	error

	id string
}

func (i *incident) Unwrap() error { return i.error }

// cause is what failures must have in common to share an incident.
type cause struct {
	route string // empty: of any
	code  codes.Code
	text  string
}

// Incidents logs failures whose details are not for clients. A backend that
// fails each call must not fill the disk: within a window one line stands for
// all failures of a cause, and a second one says how many there were.
type Incidents struct {
	logger *slog.Logger

	mu     sync.Mutex
	recent map[cause]*recentIncident
	closed bool
}

// recentIncident is a line of the log, and the failures since that share it.
type recentIncident struct {
	id     string
	calls  int // beside the first
	expiry *time.Timer
}

// NewIncidents makes a log of incidents, which is to be closed.
func NewIncidents(logger *slog.Logger) *Incidents {
	return &Incidents{logger: logger, recent: map[cause]*recentIncident{}}
}

// note logs a failure, unless one of its cause has been logged just now, and
// returns the incident's id.
func (l *Incidents) note(c cause) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.recent[c]
	if !ok && len(l.recent) >= incidentCauses {
		c = cause{code: c.code, text: "further causes, which are not listed"}
		known, ok = l.recent[c]
	}
	if ok {
		known.calls++
		return known.id
	}
	known = &recentIncident{id: rand.Text()[:12]}
	l.log("a call failed", c, "incident", known.id)
	if !l.closed {
		l.recent[c] = known
		known.expiry = time.AfterFunc(incidentWindow, func() { l.expire(c, known) })
	}
	return known.id
}

// expire ends an incident's window.
func (l *Incidents) expire(c cause, i *recentIncident) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.recent[c] == i {
		delete(l.recent, c)
		l.logMore(c, i)
	}
}

// Close ends all windows.
func (l *Incidents) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for c, i := range l.recent {
		i.expiry.Stop()
		l.logMore(c, i)
	}
	clear(l.recent)
}

func (l *Incidents) logMore(c cause, i *recentIncident) {
	if i.calls > 0 {
		l.log("more calls failed in the same way", c, "like", i.id, "calls", i.calls)
	}
}

func (l *Incidents) log(message string, c cause, attrs ...any) {
	if c.route != "" {
		attrs = append(attrs, "route", c.route)
	}
	l.logger.Error(message, append(attrs, "code", CodeName(c.code), "error", c.text)...)
}

// Reporter reports the failures of one route.
type Reporter struct {
	Incidents *Incidents
	Route     string
	Types     func() Types // of the backend's details; called for each failure that has some
	MaxBytes  int          // of one detail as JSON
}

// Note logs a failure whose details are not for clients, and gives it an id: internal
// errors, and what came instead of a backend's answer. It returns other errors as they are.
func (r *Reporter) Note(err error) error {
	if err == io.EOF { //nolint:errorlint // OK; a failure may wrap that of a connection
		return err
	}
	s := StatusOf(err)
	if errors.As(err, new(*incident)) || (s.Code() != codes.Internal && s.Code() != codes.Unknown && !errors.Is(err, upstream.ErrForeign)) {
		return err
	}
	return &incident{error: err, id: r.Incidents.note(cause{r.Route, s.Code(), printable.Text(err.Error(), errorBytes)})}
}

// Of decides what a client may see of an error, and notes it.
func (r *Reporter) Of(err error) Failure {
	err = r.Note(err)
	s := StatusOf(err)
	if i := new(incident); errors.As(err, &i) {
		where := "; the bridge's log says how, under incident " + i.id
		switch {
		case errors.Is(err, upstream.ErrForeign):
			return Failure{Code: codes.Unavailable, Message: s.Message() + where}
		case s.Code() == codes.Internal:
			return Failure{Code: codes.Internal, Message: "the call failed" + where}
		default:
			return Failure{Code: codes.Unknown, Message: "the call failed" + where}
		}
	}
	f := Failure{Code: s.Code(), Message: s.Message()}
	if packed := s.Proto().GetDetails(); len(packed) > 0 {
		f.Details = details(packed, r.Types(), r.MaxBytes)
	}
	return f
}
