package cli

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	day = 24 * time.Hour
	// lookAgain is how often the remaining time of a certificate is looked at. It is short,
	// because a timer stands still while a machine sleeps.
	lookAgain = time.Minute
	// expiredAgain is how often the log repeats that a certificate has expired.
	expiredAgain = day
)

// expiry logs that the listener's certificate is about to expire, 30, 7 and 1 days before,
// and that it has. A renewed certificate begins again.
type expiry struct {
	certificate expiring
	logger      *slog.Logger

	mu     sync.Mutex
	until  time.Time // of the certificate that was looked at
	logged int       // how many of the notices are logged
	last   time.Time // when the last one was
}

// expiring is a certificate that may be replaced.
type expiring interface {
	// Validity returns from when until when the certificate is valid.
	Validity() (from, until time.Time)
}

// notices are the times before the end at which the log has a line, the last for the end
// itself.
func notices() []time.Duration { return []time.Duration{30 * day, 7 * day, day, 0} }

// run looks at the certificate until ctx is done: every lookAgain, and when it expires.
func (e *expiry) run(ctx context.Context) {
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		e.look()
		pause := lookAgain
		if _, until := e.certificate.Validity(); time.Until(until) > 0 {
			pause = min(pause, time.Until(until))
		}
		again.Reset(pause)
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// look logs the notice that is due. Of several that are due at once it logs the last. A
// nil expiry, of a listener without TLS, has nothing to look at.
func (e *expiry) look() {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now().Round(0) // the wall clock: a certificate ends by it
	from, until := e.certificate.Validity()
	if until != e.until {
		e.until, e.logged = until, 0
	}
	due, left := 0, until.Sub(now)
	for i, before := range notices() {
		// A certificate of a few days is always close to its end: only the second half of its
		// life is worth a line.
		if left <= before && (before == 0 || before < until.Sub(from)/2) {
			due = i + 1
		}
	}
	switch expired := due == len(notices()); {
	case due > e.logged, expired && now.Sub(e.last) >= expiredAgain:
		e.logged, e.last = due, now
		e.log(left, until)
	}
}

func (e *expiry) log(left time.Duration, until time.Time) {
	switch {
	case left <= 0:
		// It is presented all the same: the clock may be wrong, and no other fits the files.
		e.logger.Error("the certificate has expired, and clients refuse it; renew the files of tls", "until", until)
	case left <= 7*day:
		e.logger.Warn("the certificate is about to expire; renew the files of tls", "until", until, "left", left.Round(time.Minute))
	default:
		e.logger.Info("the certificate expires within 30 days", "until", until, "left", left.Round(time.Minute))
	}
}
