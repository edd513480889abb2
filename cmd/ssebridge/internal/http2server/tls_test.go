package http2server

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"

	"golang.org/x/net/http2"
)

// transitions are the states of connections, as ConnState hears of them.
type transitions struct {
	mu     sync.Mutex
	states []http.ConnState
	conns  map[net.Conn]struct{}
	closed chan struct{}
}

func (r *transitions) note(conn net.Conn, state http.ConnState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.states = append(r.states, state)
	r.conns[conn] = struct{}{}
	if state == http.StateClosed {
		close(r.closed)
	}
}

// The limits of connections go by their states, and by the kernel's connection below TLS.
func TestConnStateIsCalledForConnectionsByTLS(t *testing.T) {
	seen := &transitions{conns: map[net.Conn]struct{}{}, closed: make(chan struct{})}
	s := start(t, newHeld(), func(server *http.Server) { server.TLSConfig, server.ConnState = certified(t), seen.note })
	conn := s.dial(t)
	if _, err := conn.Write(opened(t, "/now")); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(io.Discard, conn)
	for answered := false; !answered; {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		answered = frame.Header().Type == http2.FrameData
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	<-seen.closed
	seen.mu.Lock()
	defer seen.mu.Unlock()
	want := []http.ConnState{http.StateNew, http.StateActive, http.StateIdle, http.StateActive, http.StateIdle, http.StateClosed}
	if !slices.Equal(seen.states, want) {
		t.Errorf("got %v, want %v", seen.states, want)
	}
	for conn := range seen.conns {
		if _, secured := conn.(*tls.Conn); !secured || len(seen.conns) != 1 {
			t.Errorf("%T is one of %d connections, want one of TLS", conn, len(seen.conns))
		}
	}
}

// HTTP/2 forbids TLS 1.1 (RFC 9113, section 9.2).
func TestHTTP2RefusesOldTLS(t *testing.T) {
	s := start(t, newHeld(), func(server *http.Server) {
		server.TLSConfig = certified(t)
		server.TLSConfig.MinVersion = tls.VersionTLS10
	})
	old := trusting()
	old.MinVersion, old.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
	conn := tls.Client(dial(t, s.addr), old)
	if _, err := conn.Write(opened(t, "/now")); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(io.Discard, conn)
	frame, err := framer.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	if goAway, ok := frame.(*http2.GoAwayFrame); !ok || goAway.ErrCode != http2.ErrCodeInadequateSecurity {
		t.Errorf("got %v", frame)
	}
}

// Its GOAWAY would come before the connection is one of HTTP/2: Shutdown sends it again.
func TestConnectionsThatShakeHandsDuringShutdownGetGOAWAY(t *testing.T) {
	accepted := make(chan struct{}, 1)
	s := start(t, newHeld(), func(server *http.Server) {
		server.TLSConfig = certified(t)
		server.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				accepted <- struct{}{}
			}
		}
	})
	shut := make(chan struct{})
	s.RegisterOnShutdown(func() { close(shut) })
	conn := dial(t, s.addr)
	<-accepted
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(t.Context()) }()
	<-shut
	secured := tls.Client(conn, trusting())
	if _, err := secured.Write(opened(t, "/now")); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(io.Discard, secured)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if goAway, ok := frame.(*http2.GoAwayFrame); ok {
			if goAway.ErrCode != http2.ErrCodeNo {
				t.Errorf("got %v", goAway)
			}

			break
		}
	}
	if err := secured.Close(); err != nil {
		t.Error(err)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
}
