package cli

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestComplaintsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := newComplaints(slog.New(slog.NewTextHandler(&text, nil)))
		for range 2000 {
			log.Print(handshakeFailed + " from 192.0.2.1:1: EOF")
		}
		for range 3 {
			log.Print("http: panic serving")
		}
		if n := strings.Count(text.String(), "panic"); n != 3 {
			t.Errorf("%d of 3 panics are told", n)
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
