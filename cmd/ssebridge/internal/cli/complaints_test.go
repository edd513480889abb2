package cli

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
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
// log.
func TestBadHTTP2IsNotLoggedEachTime(t *testing.T) {
	r, public, _ := startServe(t)
	for range 50 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(public, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, conn) // until it is closed, or reset
		closing(t, conn)
	}
	r.end()
	if n := strings.Count(r.stderr.String(), "error reading preface"); n != 1 {
		t.Errorf("told %d times:\n%s", n, r.stderr)
	}
}
