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
	// errorBytes bounds the logged text of an error.
	errorBytes = 1 << 10
	// incidentWindow is the time in which failures of one cause share a log line and an id.
	incidentWindow = 10 * time.Second
	// incidentCauses bounds the causes that have log lines of their own within a window.
	// Further causes share one line for each code.
	incidentCauses = 32
)

// incident is a failure whose text is only logged. The client gets its id.
type incident struct {
	error

	id string
}

func (i *incident) Unwrap() error { return i.error }

// cause is the key of an incident: failures with an equal cause share it.
type cause struct {
	route string // empty: any route
	code  codes.Code
	text  string
}

// Incidents logs failures whose text clients must not see. So that a backend that fails each
// call does not fill the disk, all failures of one cause within a window have one log line,
// and a second one with their number at its end.
type Incidents struct {
	logger *slog.Logger

	mu     sync.Mutex
	recent map[cause]*recentIncident
	closed bool
}

// recentIncident is an incident whose window is open.
type recentIncident struct {
	id     string
	calls  int // further failures that share the log line
	expiry *time.Timer
}

// NewIncidents returns Incidents, which the caller closes.
func NewIncidents(logger *slog.Logger) *Incidents {
	return &Incidents{logger: logger, recent: map[cause]*recentIncident{}}
}

// note returns the id of a failure's incident. It logs the failure if that begins the
// incident.
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

// Close ends all windows, and logs how many failures there were.
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
	Types     func() Types // returns the types of the backend's details
	MaxBytes  int          // bounds one detail as JSON
}

// Note logs a failure whose text clients must not see, and wraps it with an incident id:
// INTERNAL, UNKNOWN, and answers that are not the backend's own. It returns other errors
// unchanged.
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

// Of returns the part of an error that a client may see, after Note.
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
