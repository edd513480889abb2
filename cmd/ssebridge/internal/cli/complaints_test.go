package cli

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

func TestComplaintsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		var handshakes atomic.Uint64
		log := newComplaints(slog.New(slog.NewTextHandler(&text, nil)), &handshakes)
		for range 2000 {
			log.Print(handshakeFailed + " from 192.0.2.1:1: EOF")
		}
		for range 3 {
			log.Print("http: panic serving")
		}
		if n := strings.Count(text.String(), "panic"); n != 3 {
			t.Errorf("%d of 3 panics are told", n)
		}
		if n := handshakes.Load(); n != 2000 {
			t.Errorf("%d of 2000 handshakes are counted", n)
		}
		if n := strings.Count(text.String(), "level=WARN msg=\"http: TLS handshake error"); n != 1 {
			t.Errorf("told %d times", n)
		}
		text.Reset()
		time.Sleep(complainAgain)
		log.Print(handshakeFailed, " another")
		if got := text.String(); !strings.Contains(got, " another\" left_out_before=1999") {
			t.Errorf("told %s", got)
		}
		text.Reset()
		time.Sleep(complainAgain)
		log.Print(handshakeFailed, " again")
		if got := text.String(); !strings.HasSuffix(got, " again\"\n") {
			t.Errorf("told %s", got)
		}
	})
}

// TestBadHTTP2IsNotLoggedEachTime: hardening. A peer that claims HTTP/2 and does not speak it does not fill the
// log, and is not answered.
func TestBadHTTP2IsNotLoggedEachTime(t *testing.T) {
	for way, secure := range ways(t) {
		t.Run(way, func(t *testing.T) {
			told := &lines{}
			s := serveHTTP2(t, newHolding(), secure, func(server *http.Server) {
				server.ErrorLog = newComplaints(slog.New(slog.NewTextHandler(told, nil)), nil)
			})
			for range 50 {
				conn := s.dial(t)
				if secure != nil {
					conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http2.NextProtoTLS}})
				}
				if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				if got, _ := io.ReadAll(conn); bytes.Contains(got, []byte("HTTP/1.1")) { // until it is closed, or reset
					t.Errorf("answered %q", got)
				}
				closing(t, conn)
			}
			most := 0 // in clear net/http takes it for a request
			if secure != nil {
				most = 1
			}
			if n := strings.Count(told.String(), "\n"); n != most {
				t.Errorf("told %d times, want %d:\n%s", n, most, told)
			}
		})
	}
}
