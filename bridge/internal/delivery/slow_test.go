package delivery

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// The stream ends after the write timeout, and the response is incomplete.
func TestStuckReader(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		s.serve(newSource(100).append(strings.Repeat("x", 1<<20)), Policy{WriteTimeout: 20 * time.Second})
		body, _ := s.request(t)
		began := time.Now()
		s.expectEnd(t, reason.EndStuck)
		if took := time.Since(began); took != 20*time.Second {
			t.Errorf("it took %v", took)
		}
		if _, err := io.Copy(io.Discard, body); err == nil {
			t.Error("the response ends cleanly")
		}
	})
}

// A client that takes something within each timeout is slow and not stuck, even if one frame takes longer.
func TestSlowReaderOfALargeFrame(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		source := newSource(100).append(strings.Repeat("x", 1<<20))
		source.log.Close()
		s.serve(source, Policy{WriteTimeout: 20 * time.Second})
		body, _ := s.request(t)
		buffer := make([]byte, 16<<10)
		size := 0
		for {
			n, err := io.ReadFull(body, buffer)
			size += n
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && size == len("first\n\n\n\n")+1<<20 {
				break
			}
			if err != nil {
				t.Fatalf("after %d bytes: %v", size, err)
			}
			time.Sleep(5 * time.Second)
		}
		s.expectEnd(t, reason.EndComplete)
	})
}

// takingSource counts calls of Taking.
type takingSource struct {
	*source

	takings atomic.Int64
}

// Taking counts.
func (s *takingSource) Taking() { s.takings.Add(1) }

// The reports show that the client is slow and not stuck.
func TestPartsOfALargeFrameAreReported(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		source := &takingSource{source: newSource(100).append(strings.Repeat("x", 1<<20))}
		s.serve(source.source, Policy{})
		s.client.Source = source
		body, _ := s.request(t)
		for part := range int64(5) {
			if _, err := io.CopyN(io.Discard, body, 128<<10); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := source.takings.Load(); got < 6*part {
				t.Errorf("after part %d Taking has been called %d times", part, got)
			}
		}
	})
}

// Without anything to write there is no write timeout.
func TestSilenceIsNotStuck(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		source := newSource(100)
		s.serve(source, Policy{WriteTimeout: time.Second, Heartbeat: time.Minute})
		l := s.connect(t)
		time.Sleep(90 * time.Second)
		source.append("1")
		if got := l.timeline(); got != "0s first, 1m0s :, 1m30s 1" {
			t.Error(got)
		}
	})
}

// On real sockets, bytes that the kernels buffer count as progress.
func TestStuckSocket(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "h2c"} {
		t.Run(protocol, func(t *testing.T) {
			listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
				if err != nil {
					return nil, err
				}
				return conn, conn.(*net.TCPConn).SetReadBuffer(4 << 10) //nolint:errcheck // it is a *net.TCPConn
			}
			s := newPipeServer(t, protocol, smallBuffers{listener}, dial)
			s.serve(newSource(100).append(strings.Repeat("x", 32<<20)), Policy{WriteTimeout: 200 * time.Millisecond})
			s.request(t) // without reading
			s.expectEnd(t, reason.EndStuck)
		})
	}
}

// The whole connection takes nothing. HTTP/2 then cannot even reset the stream: the handler is released
// when the server closes the connection, after one or two WriteByteTimeouts.
func TestDeadConnection(t *testing.T) {
	for protocol, want := range map[string]time.Duration{"HTTP/1.1": 20 * time.Second, "h2c": 60 * time.Second} {
		t.Run(protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := newPipes()
				dead := &atomic.Bool{}
				closed := make(chan struct{})
				s := newPipeServer(t, protocol, listener, func(ctx context.Context, network, address string) (net.Conn, error) {
					conn, err := listener.dial(ctx, network, address)
					return dyingConn{conn, dead, closed}, err
				})
				source := newSource(100)
				s.serve(source, Policy{WriteTimeout: 20 * time.Second})
				s.request(t)
				t.Cleanup(func() { close(closed) })
				synctest.Wait()
				dead.Store(true)
				began := time.Now()
				source.append(strings.Repeat("x", 1<<20))
				s.expectEnd(t, reason.EndStuck)
				if took := time.Since(began); took > want {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// dyingConn is a connection whose peer can stop without closing it.
type dyingConn struct {
	net.Conn
	dead   *atomic.Bool
	closed chan struct{}
}

// Read blocks once the peer is dead.
func (c dyingConn) Read(p []byte) (int, error) {
	if c.dead.Load() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return c.Conn.Read(p)
}

// smallBuffers gives connections small send buffers.
type smallBuffers struct{ net.Listener }

// Accept returns the next connection.
func (l smallBuffers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return conn, conn.(*net.TCPConn).SetWriteBuffer(4 << 10) //nolint:errcheck // it is a *net.TCPConn
}

func TestALaggingClientIsAskedToReconnect(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		source := newSource(3).append("1", "2", "3", "4", "5")
		s.serve(source, Policy{})
		s.client.Position = 1
		s.connect(t).expectEnd(t, true, "first\n\nleave lagged\n\n")
		s.expectEnd(t, reason.EndAsked)
	})
}

func TestALaggingClientSkipsAGap(t *testing.T) {
	protocols(t, func(t *testing.T, s *pipeServer) {
		source := newSource(3).append("1", "2", "3", "4", "5")
		s.serve(source, Policy{Skip: true})
		s.client.Position = 1
		l := s.connect(t)
		synctest.Wait()
		source.append("6", "end")
		source.log.Close()
		l.expectEnd(t, true, "first\n\nlagged 2\n\n3\n\n4\n\n5\n\n6\n\nend\n\n")
		s.expectEnd(t, reason.EndComplete)
	})
}

// A client that never reaches the head of its log can be asked to leave, and notices that its connection
// has ended.
func TestAClientThatIsAlwaysBehindCanLeave(t *testing.T) {
	for name, endless := range map[string]func(s *pipeServer, source *source){
		"more at each read": func(s *pipeServer, source *source) {
			source.progress = func(uint64) { source.append("more") }
		},
		"lost at each read": func(s *pipeServer, source *source) {
			s.client.Policy.Skip = true
			s.client.Blocks = blocks{source: source, lagged: func() { source.append("1", "2", "3") }}
			source.append("1", "2", "3")
		},
	} {
		t.Run(name, func(t *testing.T) {
			protocols(t, func(t *testing.T, s *pipeServer) {
				begin := func() *pipeClient {
					source := newSource(2).append("1")
					s.serve(source, Policy{})
					endless(s, source)
					return s.connect(t)
				}
				begin().cancel()
				s.expectEnd(t, reason.EndGone)
				l := begin()
				if err := s.clients.Drain(t.Context(), 0); err != nil {
					t.Fatal(err)
				}
				<-l.done
				s.expectEnd(t, reason.EndAsked)
				if text := l.text.String(); !strings.HasSuffix(text, "leave drain\n\n") {
					t.Errorf("…%q", text[max(0, len(text)-50):])
				}
			})
		})
	}
}
