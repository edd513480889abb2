package upstream

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/internal/pause"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// stateOf returns a resolver's state with these addresses.
func stateOf(addrs ...string) (s resolver.State) {
	for _, addr := range addrs {
		s.Endpoints = append(s.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: addr}}})
	}
	return s
}

// sendGreeting answers a Watch with one message and then stays silent.
func sendGreeting(_ *testv1.WatchRequest, stream watchServer) error {
	if err := stream.Send(&testv1.FeedEvent{Kind: "hello"}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return stream.Context().Err()
}

// keepOpen keeps n RPCs open until the test ends: it opens each again when it ends.
func keepOpen(t *testing.T, u *Upstream, n int) {
	t.Helper()
	var all sync.WaitGroup
	var over atomic.Bool
	t.Cleanup(func() {
		over.Store(true)
		if err := u.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
	})
	for i := range n {
		all.Go(func() {
			for !over.Load() {
				s, err := u.Open(t.Context(), Call{Method: watchMethod, Request: wire(t, &testv1.WatchRequest{After: int64(i)})})
				for err == nil {
					err = s.Next(discard)
				}
				if s != nil {
					s.Close()
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
}

// An address that accepts connections and fails each RPC has the fewest RPCs, and still does not
// get them all. It is probed, and used again once it works.
func TestAnAddressThatFailsItsRPCsIsSetAside(t *testing.T) {
	unavailable := status.Error(codes.Unavailable, "starting")
	for name, fail := range map[string]func(*backendtest.Intermediary, *backendtest.Backend){
		"UNAVAILABLE": func(_ *backendtest.Intermediary, b *backendtest.Backend) {
			b.OnWatch(func(*testv1.WatchRequest, watchServer) error { return unavailable })
		},
		"UNAVAILABLE behind headers": func(_ *backendtest.Intermediary, b *backendtest.Backend) {
			b.OnWatch(func(_ *testv1.WatchRequest, stream watchServer) error {
				if err := stream.SendHeader(metadata.MD{}); err != nil {
					return err
				}
				return unavailable
			})
		},
		"a page": func(m *backendtest.Intermediary, _ *backendtest.Backend) {
			m.Answer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var backends [3]*backendtest.Backend
			for i := range backends {
				backends[i] = backendtest.Start(t)
				backends[i].OnWatch(sendGreeting)
			}
			bad := backends[2]
			m := backendtest.StartIntermediary(t, bad, nil)
			fail(m, bad)
			r := manual.NewBuilderWithScheme("aside")
			resolver.Register(r)
			r.InitialState(stateOf(backends[0].Addr(), backends[1].Addr(), m.Addr()))
			var log lines
			u := connect(t, Params{Target: "aside:///app", Schema: quiet(), Logger: log.logger()})
			awaitAddresses(t, u, 3)
			begin := time.Now()
			keepOpen(t, u, 30)
			ctx := within(t)
			for backends[0].Running()+backends[1].Running() < 30 {
				if pause.For(ctx, time.Millisecond) != nil {
					t.Fatalf("RPCs: %d, %d", backends[0].Running(), backends[1].Running())
				}
			}
			t.Logf("all RPCs are at the others after %v", time.Since(begin))
			for _, b := range backends[:2] {
				if n := b.Running(); n < 13 || n > 17 {
					t.Errorf("RPCs: %d, %d", backends[0].Running(), backends[1].Running())
				}
			}
			// From now on hardly any RPC fails, though clients come and go.
			tries := func() int { return bad.Opens() + int(m.Asked()) }
			before := tries()
			for range 40 {
				s := watch(t, u, nil)
				if err := s.Next(discard); err != nil {
					wantCode(t, err, codes.Unavailable)
				}
				s.Close()
				time.Sleep(5 * time.Millisecond)
			}
			if got := tries() - before; got > 2 {
				t.Errorf("%d of 40 RPCs went to the address that fails", got)
			}
			if a := addressOf(u, m.Addr()); !a.Failing {
				t.Errorf("%+v", a)
			}
			// The address works again, and a probe finds that.
			m.Answer(nil)
			bad.OnWatch(sendGreeting)
			for addressOf(u, m.Addr()).Failing {
				s := watch(t, u, nil)
				if err := s.Next(discard); err != nil {
					t.Fatal(err)
				}
				s.Close()
				if pause.For(ctx, 20*time.Millisecond) != nil {
					t.Fatal("the address is not tried again")
				}
			}
			watch(t, u, nil)
			bad.AwaitRunning(1)
			if log.count("fails all RPCs") != 1 || log.count("works again") != 1 {
				t.Errorf("the log says:\n%s", log.text.String())
			}
		})
	}
}

func addressOf(u *Upstream, addr string) AddressUsage {
	for _, a := range u.Usage().Addresses {
		if a.Address == addr {
			return a
		}
	}
	return AddressUsage{}
}

// If all addresses fail alike, none is set aside.
func TestAddressesThatAllFailAreNotSetAside(t *testing.T) {
	f := startFleet(t, 2)
	for _, b := range f.Backends {
		b.OnWatch(func(*testv1.WatchRequest, grpc.ServerStreamingServer[testv1.FeedEvent]) error {
			return status.Error(codes.Unavailable, "a shard is down")
		})
	}
	u := connectTo(t, f, Params{})
	awaitAddresses(t, u, 2)
	for range 40 {
		wantCode(t, watch(t, u, nil).Next(discard), codes.Unavailable)
	}
	for _, b := range f.Backends {
		if n := b.Opens(); n < 10 {
			t.Errorf("%d of 40 RPCs at %s", n, b.Addr())
		}
	}
}

// The schema is read from the address that came up last, unless that fails.
func TestASchemaIsReadPastAnAddressThatFails(t *testing.T) {
	good, bad := backendtest.Start(t), backendtest.Start(t)
	m := backendtest.StartIntermediary(t, bad, nil)
	m.Answer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	r := manual.NewBuilderWithScheme("past")
	resolver.Register(r)
	r.InitialState(stateOf(good.Addr()))
	u := connect(t, Params{Target: "past:///app"})
	if _, err := u.awaitSchema(within(t)); err != nil {
		t.Fatal(err)
	}
	r.UpdateState(stateOf(good.Addr(), m.Addr()))
	awaitAddresses(t, u, 2)
	failures := 0
	for {
		_, err := u.RefreshSchema(within(t))
		if err == nil {
			break
		}
		if failures++; failures > 2 {
			t.Fatalf("failed %d times: %v", failures, err)
		}
	}
}
