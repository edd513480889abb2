package upstream

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// wantHidden checks that the error's text contains want, for the operator, and that its public
// status names no address.
func wantHidden(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("%q is missing in the error %q", want, err)
	}
	if message := status.Convert(err).Message(); strings.Contains(message, "127.0.0.1") || strings.Contains(message, "dial") {
		t.Errorf("the public status is %q", message)
	}
}

// Hardening: the public status of an error names no address.
func TestErrorsOfABackendThatIsAwayNameNoAddress(t *testing.T) {
	backend := backendtest.Start(t)
	backend.Stop()
	const refused = "connection refused"
	for name, fail := range map[string]func(*Upstream) error{
		"Open": func(u *Upstream) error {
			_, err := u.Open(t.Context(), Call{Method: watchMethod})
			return err
		},
		"Invoke": func(u *Upstream) error {
			_, err := u.Invoke(t.Context(), Call{Method: getMethod})
			return err
		},
		"AwaitSchema": func(u *Upstream) error {
			ctx, cancel := context.WithTimeout(t.Context(), u.params.OpenTimeout)
			defer cancel()
			_, err := u.awaitSchema(ctx)
			return err
		},
		"RefreshSchema": func(u *Upstream) error {
			_, err := u.RefreshSchema(within(t))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := fail(connect(t, Params{Target: backend.Addr(), OpenTimeout: 200 * time.Millisecond}))
			wantCode(t, err, codes.Unavailable)
			wantHidden(t, err, refused)
			wantHidden(t, err, backend.Addr())
		})
	}
}

// The error of awaitSchema names the reason even before the first reading gives up.
func TestAnUnreadSchemaNamesTheReason(t *testing.T) {
	short := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	t.Run("away", func(t *testing.T) {
		backend := backendtest.Start(t)
		backend.Stop()
		u := connect(t, Params{Target: backend.Addr()})
		_, err := u.awaitSchema(short())
		wantCode(t, err, codes.Unavailable)
		wantHidden(t, err, backend.Addr()+": dial tcp "+backend.Addr()+": connect: connection refused")
		if got := status.Convert(err).Message(); got != "the schema of upstream app is not known: no connection" {
			t.Errorf("the status says %q", got)
		}

		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = u.RefreshSchema(ended)
		wantCode(t, err, codes.Canceled)
		if got := status.Convert(err).Message(); got != "the schema of upstream app was not read again: context canceled" {
			t.Errorf("the status says %q", got)
		}
	})
	t.Run("silent", func(t *testing.T) {
		fault := fault{silent: true}
		u := connect(t, Params{Target: fault.start(t).Addr()})
		awaitConnections(t, u, 1)
		_, err := u.awaitSchema(short())
		wantCode(t, err, codes.Unavailable)
		if got := status.Convert(err).Message(); got != "the schema of upstream app is not known: the backend has not answered yet" {
			t.Errorf("the status says %q", got)
		}
	})
}

func TestErrorsOfALostConnectionNameNoAddress(t *testing.T) {
	backend := backendtest.Start(t)
	backend.OnWatch(silent)
	u := connect(t, Params{Target: backend.Addr(), Schema: quiet()})
	s := watch(t, u, nil)
	backend.AwaitRunning(1)
	backend.Stop()
	err := s.Next(discard)
	wantCode(t, err, codes.Unavailable)
	wantHidden(t, err, "the connection to the backend was lost")
	wantHidden(t, s.Accepted(), "the connection to the backend was lost")
}
