package cli

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// validity is a certificate's.
type validity struct{ from, until time.Time }

func (v *validity) Validity() (from, until time.Time) { return v.from, v.until }

func TestExpiryIsLoggedBeforeAndAfter(t *testing.T) {
	for _, tc := range []struct {
		days int // for which the certificate is valid
		want string
	}{
		{365, "335 INFO, 358 WARN, 364 WARN, 365 ERROR, 366 ERROR, 367 ERROR"},
		{90, "60 INFO, 83 WARN, 89 WARN, 90 ERROR, 91 ERROR, 92 ERROR"},
		{10, "9 WARN, 10 ERROR, 11 ERROR, 12 ERROR"},
		{1, "1 ERROR, 2 ERROR, 3 ERROR"},
	} {
		t.Run(strconv.Itoa(tc.days), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				began := time.Now()
				e := &expiry{
					certificate: &validity{began, began.Add(time.Duration(tc.days) * day)},
					logger:      slog.New(slog.NewTextHandler(&log, nil)),
				}
				ctx, cancel := context.WithCancel(t.Context())
				go e.run(ctx)
				time.Sleep(time.Duration(tc.days+2)*day + time.Hour)
				cancel()
				synctest.Wait()
				if got := notes(t, log.String(), began); got != tc.want {
					t.Errorf("logged at %s, want %s", got, tc.want)
				}
			})
		})
	}
}

// notes are the days after began at which lines were logged, with their levels.
func notes(t *testing.T, log string, began time.Time) string {
	t.Helper()
	var all []string
	for line := range strings.Lines(log) {
		stamp, rest, _ := strings.Cut(strings.TrimPrefix(line, "time="), " level=")
		level, _, _ := strings.Cut(rest, " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%d %s", int(at.Sub(began)/day), level))
	}
	return strings.Join(all, ", ")
}

// A certificate that expires while it is served is logged without anything else happening.
func TestExpiryIsLoggedWhileServing(t *testing.T) {
	folder := t.TempDir()
	cert, key := signedUntil(t, "x", time.Now().Add(2*time.Second))
	replace(t, filepath.Join(folder, "tls.crt"), cert)
	replace(t, filepath.Join(folder, "tls.key"), key)
	s := serveFile(t, filepath.Join(folder, "ssebridge.yaml"), func(s *served) {
		s.write(s.text("tls: {cert: tls.crt, key: tls.key}\n", "/clock"))
	})
	s.stderr.await(t, "level=ERROR", "the certificate has expired")
}

func TestRenewedCertificateIsCheckedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		certificate := &validity{time.Now().Add(-89 * day), time.Now().Add(day)}
		e := &expiry{certificate: certificate, logger: slog.New(slog.NewTextHandler(&log, nil))}
		e.look()
		e.look()
		if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "left=24h0m0s") {
			t.Errorf("logged %s", &log)
		}
		log.Reset()
		certificate.from, certificate.until = time.Now(), time.Now().Add(90*day)
		e.look()
		if log.Len() > 0 {
			t.Errorf("after the renewal %s", &log)
		}
		certificate.until = time.Now().Add(-time.Hour)
		e.look()
		if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "has expired") {
			t.Errorf("of one that has expired %s", &log)
		}
	})
}
