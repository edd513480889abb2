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

// A socket that takes nothing for the write timeout is given up, without a
// clean end.
func TestStuckReader(t *testing.T) {
	protocols(t, func(t *testing.T, s *site) {
		s.serve(newSource(100).append(strings.Repeat("x", 1<<20)), Policy{WriteTimeout: 20 * time.Second})
		body, _ := s.get(t)
		began := time.Now()
		s.expectEnd(t, reason.EndStuck)
		if took := time.Since(began); took != 20*time.Second {
			t.Errorf("it took %v", took)
		}
		if _, err := io.Copy(io.Discard, body); err == nil {
			t.Error("the response ends as if it were whole")
		}
	})
}

// A client that takes something now and then is slow, not stuck, even if a single
// frame takes longer than the timeout.
func TestSlowReaderOfALargeFrame(t *testing.T) {
	protocols(t, func(t *testing.T, s *site) {
		source := newSource(100).append(strings.Repeat("x", 1<<20))
		source.log.Close()
		s.serve(source, Policy{WriteTimeout: 20 * time.Second})
		body, _ := s.get(t)
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

// takingSource counts how often the client has taken a part of what is being written.
type takingSource struct {
	*source

	takings atomic.Int64
}

// Taking counts.
func (s *takingSource) Taking() { s.takings.Add(1) }

// A source hears of each part of a large frame that a socket takes: its client is slow, and not stuck.
func TestPartsOfALargeFrameAreTold(t *testing.T) {
	protocols(t, func(t *testing.T, s *site) {
		source := &takingSource{source: newSource(100).append(strings.Repeat("x", 1<<20))}
		s.serve(source.source, Policy{})
		s.client.Source = source
		body, _ := s.get(t)
		for part := range int64(5) {
			if _, err := io.CopyN(io.Discard, body, 128<<10); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := source.takings.Load(); got < 6*part {
				t.Errorf("of part %d the source has heard %d times", part, got)
			}
		}
	})
}

// A silent stream is not stuck: there is nothing to take.
func TestSilenceIsNotStuck(t *testing.T) {
	protocols(t, func(t *testing.T, s *site) {
		source := newSource(100)
		s.serve(source, Policy{WriteTimeout: time.Second, Heartbeat: time.Minute})
		l := s.listen(t)
		time.Sleep(90 * time.Second)
		source.append("1")
		if got := l.moments(); got != "0s first, 1m0s :, 1m30s 1" {
			t.Error(got)
		}
	})
}

// A real socket: what the kernels have taken is progress, and no more.
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
				return conn, conn.(*net.TCPConn).SetReadBuffer(4 << 10) //nolint:errcheck // it is one
			}
			s := newSite(t, protocol, smallBuffers{listener}, dial)
			s.serve(newSource(100).append(strings.Repeat("x", 32<<20)), Policy{WriteTimeout: 200 * time.Millisecond})
			s.get(t) // and does not read
			s.expectEnd(t, reason.EndStuck)
		})
	}
}

// A whole connection that takes nothing: HTTP/2 cannot even reset the stream
// then, and holds its handler until the server gives the connection up, one
// or two of its timeouts later.
func TestDeadConnection(t *testing.T) {
	for protocol, want := range map[string]time.Duration{"HTTP/1.1": 20 * time.Second, "h2c": 60 * time.Second} {
		t.Run(protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := newPipes()
				dead := &atomic.Bool{}
				buried := make(chan struct{})
				s := newSite(t, protocol, listener, func(ctx context.Context, network, address string) (net.Conn, error) {
					conn, err := listener.dial(ctx, network, address)
					return mortal{conn, dead, buried}, err
				})
				source := newSource(100)
				s.serve(source, Policy{WriteTimeout: 20 * time.Second})
				s.get(t)
				t.Cleanup(func() { close(buried) })
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

// mortal is a connection whose other side may die without a word.
type mortal struct {
	net.Conn
	dead   *atomic.Bool
	buried chan struct{}
}

// Read reads nothing once it is dead.
func (c mortal) Read(p []byte) (int, error) {
	if c.dead.Load() {
		<-c.buried
		return 0, net.ErrClosed
	}
	return c.Conn.Read(p)
}

// smallBuffers makes the kernel take little.
type smallBuffers struct{ net.Listener }

// Accept returns the next connection.
func (l smallBuffers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return conn, conn.(*net.TCPConn).SetWriteBuffer(4 << 10) //nolint:errcheck // it is one
}

// A client too slow for the log is asked to come back.
func TestLaggedDisconnect(t *testing.T) {
	protocols(t, func(t *testing.T, s *site) {
		source := newSource(3).append("1", "2", "3", "4", "5")
		s.serve(source, Policy{})
		s.client.Position = 1
		s.listen(t).expectEnd(t, true, "first\n\nleave lagged\n\n")
		s.expectEnd(t, reason.EndAsked)
	})
}

// With skip it is told what it has lost, and goes on.
func TestLaggedSkip(t *testing.T) {
	protocols(t, func(t *testing.T, s *site) {
		source := newSource(3).append("1", "2", "3", "4", "5")
		s.serve(source, Policy{Skip: true})
		s.client.Position = 1
		l := s.listen(t)
		synctest.Wait()
		source.append("6", "end")
		source.log.Close()
		l.expectEnd(t, true, "first\n\nlagged 2\n\n3\n\n4\n\n5\n\n6\n\nend\n\n")
		s.expectEnd(t, reason.EndComplete)
	})
}

// A stream that never gets to the head of its log still hears that it is to
// come back, is too old, or that its client has gone.
func TestAlwaysBehind(t *testing.T) {
	for name, endless := range map[string]func(s *site, source *source){
		"more at each read": func(s *site, source *source) {
			source.progress = func(uint64) { source.append("more") }
		},
		"lost at each read": func(s *site, source *source) {
			s.client.Policy.Skip = true
			s.client.Blocks = blocks{source: source, lagged: func() { source.append("1", "2", "3") }}
			source.append("1", "2", "3")
		},
	} {
		t.Run(name, func(t *testing.T) {
			protocols(t, func(t *testing.T, s *site) {
				begin := func() *listener {
					source := newSource(2).append("1")
					s.serve(source, Policy{})
					endless(s, source)
					return s.listen(t)
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
