package upstream

import (
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

func TestTargets(t *testing.T) {
	t.Run("host:port", func(t *testing.T) {
		backend := backendtest.Start(t)
		checkCarries(t, connect(t, Params{Target: backend.Addr()}), backend)
	})
	t.Run("dns", func(t *testing.T) {
		backend := backendtest.Start(t)
		_, port, err := net.SplitHostPort(backend.Addr())
		if err != nil {
			t.Fatal(err)
		}
		checkCarries(t, connect(t, Params{Target: "dns:///localhost:" + port}), backend)
	})
	t.Run("a resolver of grpc-go's own", func(t *testing.T) {
		backend := backendtest.Start(t)
		checkCarries(t, connect(t, Params{Target: "static:///" + backend.Addr()}), backend)
	})
	t.Run("unix", func(t *testing.T) {
		backend := backendtest.Start(t, backendtest.WithUnixSocket())
		checkCarries(t, connect(t, Params{Target: "unix://" + backend.Addr()}), backend)
		checkCarries(t, connect(t, Params{Target: "unix:" + backend.Addr()}), backend)
	})
}

func TestTLS(t *testing.T) {
	authority := backendtest.NewAuthority(t)
	t.Run("server only", func(t *testing.T) {
		backend := backendtest.Start(t, backendtest.WithTLS(authority))
		checkCarries(t, connect(t, Params{Target: backend.Addr(), TLS: &TLS{CA: authority.CAFile}}), backend)
		checkCarries(t, connect(t, Params{Target: backend.Addr(), TLS: &TLS{CA: authority.CAFile, ServerName: "localhost"}}), backend)
	})
	t.Run("mutual", func(t *testing.T) {
		backend := backendtest.Start(t, backendtest.WithTLS(authority), backendtest.WithClientAuth())
		cert, key := authority.Issue(t, "client")
		checkCarries(t, connect(t, Params{Target: backend.Addr(), TLS: &TLS{CA: authority.CAFile, Cert: cert, Key: key}}), backend)
	})
	t.Run("over a socket", func(t *testing.T) {
		backend := backendtest.Start(t, backendtest.WithTLS(authority), backendtest.WithUnixSocket())
		checkCarries(t, connect(t, Params{Target: backend.Target(), TLS: &TLS{CA: authority.CAFile}}), backend)
	})
	t.Run("rotated", func(t *testing.T) {
		backend := backendtest.Start(t, backendtest.WithTLS(authority))
		ca := t.TempDir() + "/ca.crt"
		copyFile(t, ca, authority.CAFile)
		u := connect(t, Params{Target: backend.Addr(), TLS: &TLS{CA: ca}})
		checkCarries(t, u, backend)
		other := backendtest.NewAuthority(t)
		copyFile(t, ca, other.CAFile)
		backend.Restart(backendtest.WithTLS(other))
		awaitGeneration(t, u, 2)
		checkCarries(t, u, backend)
	})
}

// The error contains the reason why a connection does not come up, and the public status does not.
func TestAMissingConnectionNamesTheReason(t *testing.T) {
	authority := backendtest.NewAuthority(t)
	secure := backendtest.Start(t, backendtest.WithTLS(authority))
	mutual := backendtest.Start(t, backendtest.WithTLS(authority), backendtest.WithClientAuth())
	plain := backendtest.Start(t)
	gone := backendtest.Start(t)
	gone.Stop()
	for _, c := range []struct {
		name   string
		params Params
		want   string
	}{
		{"gone", Params{Target: gone.Addr()}, "connection refused"},
		{"no such name", Params{Target: "nowhere.invalid:1"}, "lookup nowhere.invalid"},
		{"no such socket", Params{Target: "unix:///nowhere.sock"}, "no such file"},
		{"wrong authority", Params{Target: secure.Addr(), TLS: &TLS{CA: backendtest.NewAuthority(t).CAFile}}, "certificate signed by unknown authority"},
		{"wrong name", Params{Target: secure.Addr(), TLS: &TLS{CA: authority.CAFile, ServerName: "other"}}, "not other"},
		{"no certificate of our own", Params{Target: mutual.Addr(), TLS: &TLS{CA: authority.CAFile}}, "the server hung up"},
		{"TLS to a clear backend", Params{Target: plain.Addr(), TLS: &TLS{CA: authority.CAFile}}, "TLS handshake"},
		{"clear to a TLS backend", Params{Target: secure.Addr()}, "HTTP/2"},
		{"no HTTP/2", Params{Target: serveText(t, "HTTP/1.1 400 Bad Request\r\n\r\n\x1b[31m")}, `not an HTTP/2 server: the server began with "HTTP/1.1 "`},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.params.OpenTimeout = 300 * time.Millisecond
			u := connect(t, c.params)
			_, err := u.Open(t.Context(), Call{Method: watchMethod})
			wantCode(t, err, codes.Unavailable)
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.params.Target) {
				t.Errorf("got %q, want it to say %q", err, c.want)
			}
			if got := status.Convert(err).Message(); got != "upstream app: no connection within 300ms" {
				t.Errorf("the status says %q", got)
			}
		})
	}
}

// serveText returns the address of a server that sends text to each client.
func serveText(t *testing.T, text string) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			// The peer may be gone already. Reading until its end lets it read all of the text.
			_, _ = conn.Write([]byte(text))
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return listener.Addr().String()
}

func TestStartWhileTheBackendIsAway(t *testing.T) {
	backend := backendtest.Start(t)
	backend.Stop()
	u := connect(t, Params{Target: backend.Addr()})
	opened := make(chan error, 1)
	go func() {
		s, err := u.Open(within(t), Call{Method: watchMethod})
		if err == nil {
			defer s.Close()
			err = s.Next(discard)
		}
		opened <- err
	}()
	backend.Restart()
	backend.AwaitRunning(1)
	backend.Feed.Publish(&testv1.FeedEvent{})
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

func TestReadyConnection(t *testing.T) {
	backend := backendtest.Start(t)
	cc, err := grpc.NewClient(backend.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cc.Close(); err != nil {
			t.Error(err)
		}
	}()
	u := connect(t, Params{Conn: cc})
	if !u.Reachable(within(t)) {
		t.Error("not reachable")
	}
	if _, err := u.awaitSchema(within(t)); err != nil {
		t.Error(err)
	}
	checkCarries(t, u, backend)
	s := watch(t, u, nil)
	backend.AwaitRunning(1)
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.Next(discard), codes.Canceled)
	backend.AwaitRunning(0)
	if cc.GetState().String() == "SHUTDOWN" {
		t.Error("a connection that is not ours was closed")
	}
}

// An in-process connection has no address and no socket.
func TestReadyConnectionInProcess(t *testing.T) {
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer(grpc.WaitForHandlers(true))
	testv1.RegisterFeedServiceServer(server, echoService{})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	cc, err := grpc.NewClient("passthrough:///inprocess",
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(bufDialer(listener)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cc.Close(); err != nil {
			t.Error(err)
		}
	}()
	u := connect(t, Params{Conn: cc})
	s := watch(t, u, &testv1.WatchRequest{Topic: "t"})
	if got := next(t, s).GetKind(); got != "t" {
		t.Errorf("got %q", got)
	}
}

func TestPingInterval(t *testing.T) {
	if got := pingInterval(30 * time.Second); got < 5*time.Minute {
		t.Errorf("pings each %v are too many for servers with default enforcement", got)
	}
	if got := pingInterval(time.Hour); got != time.Hour {
		t.Errorf("got %v", got)
	}
}

// A proxy in the environment is for connections out of a cluster, not for a backend in it.
func TestProxiesOfTheEnvironmentAreNotUsed(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("NO_PROXY", "")
	backend := backendtest.Start(t)
	checkCarries(t, connect(t, Params{Target: backend.Addr()}), backend)
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
