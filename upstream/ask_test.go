package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// A backend that answers without a schema is reported long before the timeout.
func TestASchemaThatIsNotServedIsReportedAtOnce(t *testing.T) {
	authority := backendtest.NewAuthority(t)
	secure := backendtest.Start(t, backendtest.WithTLS(authority))
	plain := backendtest.Start(t)
	without := backendtest.Start(t, backendtest.WithReflection(backendtest.ReflectionNone))
	for _, c := range []struct {
		name   string
		params Params
		code   codes.Code
		want   string
	}{
		{
			"no reflection",
			Params{Target: without.Addr()},
			codes.Unimplemented,
			"reflection is not served by the backend: have it serve reflection, or give the upstream schema: {descriptor_set: FILE}",
		},
		{"TLS to a clear backend", Params{Target: plain.Addr(), TLS: &TLS{}}, codes.Unavailable, "it does not speak TLS; leave tls out"},
		{"TLS by other roots", Params{Target: secure.Addr(), TLS: &TLS{}}, codes.Unavailable, "name the file of its roots in tls.ca"},
		{
			"TLS by another name",
			Params{Target: secure.Addr(), TLS: &TLS{CA: authority.CAFile, ServerName: "elsewhere"}},
			codes.Unavailable,
			"name one of the certificate's names in tls.server_name",
		},
		{"no HTTP/2", Params{Target: serveAndClose(t, nil, "HTTP/1.1 400 Bad Request\r\n\r\n")}, codes.Unavailable, "is this its gRPC port, and does it want tls: {}?"},
		{
			"no HTTP/2 within TLS",
			Params{Target: serveAndClose(t, serverTLS(t, authority), "HTTP/1.1 400 Bad Request\r\n\r\n"), TLS: &TLS{CA: authority.CAFile}},
			codes.Unavailable,
			"is this its gRPC port, and does it want a client certificate (tls.cert, tls.key)?",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := connect(t, c.params)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := u.AskSchema(ctx)
			wantCode(t, err, c.code)
			if ctx.Err() != nil || !strings.Contains(Explain(err), c.want) || strings.Contains(Explain(err), "rpc error") {
				t.Errorf("got %q, want it to say %q", Explain(err), c.want)
			}
			if public := status.Convert(err).Message(); strings.Contains(public, "127.0.0.1") || strings.Contains(public, "tls") {
				t.Errorf("the public status is %q", public)
			}
		})
	}
}

// A backend with unusable descriptors is not reported as down.
func TestDescriptorsThatCannotBeUsedAreReportedAtOnce(t *testing.T) {
	for want, imports := range map[string][]string{
		"the backend's schema could not be read: the backend's schema is refused: \"a.proto\" imports itself": {"a.proto"},
		"the backend's schema could not be read: ":                                                            nil, // no service is in it
	} {
		backend := backendtest.Start(t, backendtest.WithReflection(backendtest.ReflectionNone), backendtest.WithService(
			&reflectionv1.ServerReflection_ServiceDesc,
			hostileReflection{answer: func(*reflectionv1.ServerReflectionRequest) []*descriptorpb.FileDescriptorProto {
				return []*descriptorpb.FileDescriptorProto{{Name: new("a.proto"), Dependency: imports}}
			}}))
		u := connect(t, Params{Target: backend.Addr()})
		ctx := within(t)
		_, err := u.AskSchema(ctx)
		wantCode(t, err, codes.Unavailable) // as routes answer meanwhile
		if ctx.Err() != nil || !errors.Is(err, ErrDescriptors) || !strings.HasPrefix(Explain(err), want) {
			t.Errorf("got %q, want it to say %q", Explain(err), want)
		}
	}
}

// serverTLS returns a server's TLS configuration with a certificate of an authority.
func serverTLS(t *testing.T, authority *backendtest.Authority) *tls.Config {
	t.Helper()
	cert, key := authority.Issue(t, "server", "127.0.0.1")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}}
}

// serveAndClose answers each connection with a text and closes it. It returns the address.
func serveAndClose(t *testing.T, secure *tls.Config, text string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	if secure != nil {
		listener = tls.NewListener(listener, secure)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, text)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return addr
}

// A backend that hangs up at once may only be starting: AskSchema waits for it. The final error
// contains the hint.
func TestAskingWaitsForABackendThatIsAway(t *testing.T) {
	backend := backendtest.Start(t)
	backend.Stop()
	for target, want := range map[string]string{
		backend.Addr():            "connection refused",
		serveAndClose(t, nil, ""): "the server hung up before HTTP/2 began",
	} {
		u := connect(t, Params{Target: target})
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		_, err := u.AskSchema(ctx)
		cancel()
		wantCode(t, err, codes.Unavailable)
		if !strings.Contains(Explain(err), want) {
			t.Errorf("got %q, want it to say %q", Explain(err), want)
		}
	}

	u := connect(t, Params{Target: backend.Addr(), OpenTimeout: 50 * time.Millisecond})
	awaitReading(t, u)
	backend.Restart()
	schema, err := u.AskSchema(within(t))
	if err != nil {
		t.Fatal(err)
	}
	checkFeed(t, schema)
}

// A TLS server that hangs up on a clear client, as a gRPC server in Go does, leads to a hint about
// tls.
func TestAClearConnectionToATLSServerHasAHint(t *testing.T) {
	secure := backendtest.Start(t, backendtest.WithTLS(backendtest.NewAuthority(t)))
	u := connect(t, Params{Target: secure.Addr(), OpenTimeout: 300 * time.Millisecond})
	awaitReading(t, u)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := u.AskSchema(ctx)
	if !strings.Contains(Explain(err), "if it speaks TLS, give the upstream tls: {}") {
		t.Errorf("got %q", Explain(err))
	}
}
