package cli

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// A handshake that fails on the listener is counted, and one that succeeds is not.
func TestFailedHandshakesAreCounted(t *testing.T) {
	folder := t.TempDir()
	cert, key := selfSigned(t, "first")
	replace(t, filepath.Join(folder, "tls.crt"), cert)
	replace(t, filepath.Join(folder, "tls.key"), key)
	s := serveFile(t, filepath.Join(folder, "ssebridge.yaml"), func(s *served) {
		s.write(strings.Replace(s.text("tls: {cert: tls.crt, key: tls.key}\n", "/clock"), `admin: ""`, "admin: 127.0.0.1:0", 1))
	})
	admin := addr(t, s.stderr.await(t, "msg=listening", "on=admin"))
	const metric = "ssebridge_tls_handshake_failures_total"
	if got := s.presented(); got != "first" || scraped(t, admin, metric) != "0" {
		t.Errorf("after a handshake with %q, %s have failed", got, scraped(t, admin, metric))
	}
	conn, err := net.Dial("tcp", s.public)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET /clock HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, conn) // until it is closed
	closing(t, conn)
	s.stderr.await(t, "TLS handshake error") // a line is written after it is counted
	if got := scraped(t, admin, metric); got != "1" {
		t.Errorf("%s handshakes have failed, want 1", got)
	}
}
