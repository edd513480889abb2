package upstream

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// overTransports runs a test with a clear intermediary, with one behind TLS, and on a connection of
// the embedder's own.
func overTransports(t *testing.T, test func(*testing.T, *backendtest.Backend, *backendtest.Intermediary, Params)) {
	t.Helper()
	t.Run("clear", func(t *testing.T) {
		backend := backendtest.Start(t)
		m := backendtest.StartIntermediary(t, backend, nil)
		test(t, backend, m, Params{Target: m.Addr()})
	})
	t.Run("TLS", func(t *testing.T) {
		backend := backendtest.Start(t)
		authority := backendtest.NewAuthority(t)
		m := backendtest.StartIntermediary(t, backend, authority)
		test(t, backend, m, Params{Target: m.Addr(), TLS: &TLS{CA: authority.CAFile}})
	})
	t.Run("the embedder's connection", func(t *testing.T) {
		backend := backendtest.Start(t)
		m := backendtest.StartIntermediary(t, backend, nil)
		cc, err := grpc.NewClient(m.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := cc.Close(); err != nil {
				t.Error(err)
			}
		})
		test(t, backend, m, Params{Conn: cc})
	})
}

func checkForeign(t *testing.T, err error) {
	t.Helper()
	if code := status.Code(err); code != codes.Unavailable {
		t.Errorf("the code is %v", code)
	}
	if !errors.Is(err, ErrForeign) || errors.Is(err, ErrAnswered) {
		t.Errorf("%v is not ErrForeign", err)
	}
	for _, word := range []string{"<", "html", "4711", "login.example"} {
		if message := status.Convert(err).Message(); strings.Contains(message, word) {
			t.Errorf("the public status is %q", message)
		}
	}
}

func TestAForeignAnswerIsUnavailable(t *testing.T) {
	overTransports(t, func(t *testing.T, _ *backendtest.Backend, m *backendtest.Intermediary, params Params) {
		u := connect(t, params)
		for _, foreign := range backendtest.ForeignAnswers() {
			t.Run(foreign.Name, func(t *testing.T) {
				if params.Conn != nil && (foreign.Name == "a page without an end" || strings.HasSuffix(foreign.Name, "without a status")) {
					return // needs an answerConn
				}
				m.Answer(foreign.Answer)
				s := watch(t, u, nil)
				err := s.Accepted()
				if err == nil {
					err = s.Next(discard)
				}
				checkForeign(t, err)
				_, err = u.Invoke(within(t), Call{Method: getMethod})
				checkForeign(t, err)
			})
		}
	})
}

func TestAForeignPageIsInTheError(t *testing.T) {
	backend := backendtest.Start(t)
	m := backendtest.StartIntermediary(t, backend, nil)
	u := connect(t, Params{Target: m.Addr()})
	m.Answer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte("no\x1b[31m entry " + strings.Repeat("x", 1<<20)))
	}))
	_, err := u.Invoke(within(t), Call{Method: getMethod})
	text := err.Error()
	if !strings.Contains(text, "403 (Forbidden)") || !strings.Contains(text, "entry xxx") {
		t.Errorf("the error is only %q", text)
	}
	if strings.ContainsAny(text, "\x1b\n") || len(text) > 2*maxErrorLen {
		t.Errorf("the error has %d bytes: %q", len(text), text)
	}
}

// The backend's own status passes an intermediary unchanged, with all kinds of other metadata.
func TestABackendsOwnStatusIsNotForeign(t *testing.T) {
	overTransports(t, func(t *testing.T, backend *backendtest.Backend, _ *backendtest.Intermediary, params Params) {
		u := connect(t, params)
		for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
			for name, before := range map[string]func(watchServer) error{
				"at once":          func(watchServer) error { return nil },
				"behind headers":   func(s watchServer) error { return s.SendHeader(metadata.Pairs("x-y", "z")) },
				"behind a message": func(s watchServer) error { return s.Send(&testv1.FeedEvent{}) },
			} {
				if params.Conn != nil && name == "at once" {
					continue // the proxy converts it to headers and an end, which grpc-go rejects
				}
				backend.OnWatch(func(_ *testv1.WatchRequest, stream watchServer) error {
					if err := before(stream); err != nil {
						return err
					}
					stream.SetTrailer(metadata.Pairs("x-cost", "12", answerField, "forged"))
					return status.Error(code, "own word")
				})
				s := watch(t, u, nil)
				err := s.Accepted()
				for err == nil {
					err = s.Next(discard)
				}
				if st := status.Convert(err); st.Code() != code || st.Message() != "own word" || errors.Is(err, ErrForeign) || !errors.Is(err, ErrAnswered) {
					t.Errorf("%v %s: got %v", code, name, err)
				}
				trailer := s.Trailer()
				if got := trailer.Get("x-cost"); len(got) != 1 || len(trailer.Get(answerField)) > 0 {
					t.Errorf("%v %s: trailer %v", code, name, trailer)
				}
			}
		}
	})
}

// Reflection retries soon after a foreign answer. A 404 must not count as a backend without
// reflection, which is asked again only after 30 s.
func TestReflectionOutlivesForeignAnswers(t *testing.T) {
	overTransports(t, func(t *testing.T, _ *backendtest.Backend, m *backendtest.Intermediary, params Params) {
		for _, foreign := range backendtest.ForeignAnswers() {
			t.Run(foreign.Name, func(t *testing.T) {
				if params.Conn != nil && (foreign.Name == "a page without an end" || strings.HasSuffix(foreign.Name, "without a status")) {
					return // needs an answerConn
				}
				m.Answer(foreign.Answer)
				u := connect(t, params)
				_, err := u.RefreshSchema(within(t))
				wantCode(t, err, codes.Unavailable)
				if !errors.Is(err, ErrForeign) || errors.Is(err, ErrAnswered) {
					t.Errorf("%v is not ErrForeign", err)
				}
				m.Answer(nil)
				began := time.Now()
				if _, err := u.awaitSchema(within(t)); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("the schema came %v after the backend", took)
				}
			})
		}
	})
}

// A status that Envoy passes on is the backend's own, and so is Envoy's refusal of a caller.
func TestAStatusThatAProxyPassesOnIsTheBackends(t *testing.T) {
	overTransports(t, func(t *testing.T, _ *backendtest.Backend, m *backendtest.Intermediary, params Params) {
		u := connect(t, params)
		for name, test := range map[string]struct {
			fields map[string]string
			code   codes.Code
		}{
			"a method that the backend does not have": {
				map[string]string{"Grpc-Status": "12", "Server": "envoy", "X-Envoy-Upstream-Service-Time": "3"}, codes.Unimplemented,
			},
			"a refusal of the backend's, without Envoy": {map[string]string{"Grpc-Status": "12", "Server": "kestrel"}, codes.Unimplemented},
			"words of a backend's own": {
				map[string]string{"Grpc-Status": "12", "Grpc-Message": "unknown service", "Server": "envoy"}, codes.Unimplemented,
			},
			"a token that has expired": {
				map[string]string{"Grpc-Status": "16", "Grpc-Message": "Jwt is expired", "Server": "envoy"}, codes.Unauthenticated,
			},
			"a permission that the backend denies": {
				map[string]string{"Grpc-Status": "7", "Grpc-Message": "not yours", "Server": "envoy"}, codes.PermissionDenied,
			},
		} {
			m.Answer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/grpc")
				for field, value := range test.fields {
					w.Header().Set(field, value)
				}
			}))
			if _, err := u.Invoke(within(t), Call{Method: getMethod}); status.Code(err) != test.code || errors.Is(err, ErrForeign) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// A reset is reported as one, also with the code that allows a retry.
func TestAResetIsReportedAsOne(t *testing.T) {
	for _, code := range []http2.ErrCode{http2.ErrCodeRefusedStream, http2.ErrCodeCancel} {
		raw := backendtest.StartRaw(t, func(c *backendtest.RawConn, stream backendtest.RawStream, _ *testv1.WatchRequest) {
			c.Do(func(f *http2.Framer) error { return f.WriteRSTStream(stream.ID, code) })
		})
		u := connect(t, Params{Target: raw.Addr(), Schema: quiet()})
		err := watch(t, u, nil).Accepted()
		if message := status.Convert(err).Message(); message != cutOff || !errors.Is(err, ErrForeign) {
			t.Errorf("%v: %v", code, err)
		}
	}
}
