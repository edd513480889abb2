package upstream

import (
	"reflect"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// used returns the expected usage of an upstream with one address.
func used(target string, streams int) Usage {
	return Usage{
		Connections: 1, Ready: 1, Streams: streams,
		Addresses: []AddressUsage{{Address: target, Ready: true, Streams: streams}},
	}
}

// Running RPCs are counted, and ended ones are not.
func TestUsage(t *testing.T) {
	b := backendtest.Start(t)
	u, err := New(Params{Target: b.Target()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.awaitSchema(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := u.Usage(), used(b.Target(), 0); !reflect.DeepEqual(got, want) {
		t.Errorf("idle: %+v, want %+v", got, want)
	}
	stream, err := u.Open(t.Context(), Call{Method: "ssebridge.test.v1.FeedService/Watch"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := u.Usage(), used(b.Target(), 1); !reflect.DeepEqual(got, want) {
		t.Errorf("with a stream: %+v, want %+v", got, want)
	}
	stream.Close()
	if got, want := u.Usage(), used(b.Target(), 0); !reflect.DeepEqual(got, want) {
		t.Errorf("after it: %+v, want %+v", got, want)
	}
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	if got := u.Usage(); got.Ready != 0 || got.Streams != 0 {
		t.Errorf("closed: %+v", got)
	}
}

// A closed upstream has no connection that is up, however soon it is asked.
func TestUsageOfAClosedUpstream(t *testing.T) {
	b := backendtest.Start(t)
	for range 100 {
		u, err := New(Params{Target: b.Target(), Schema: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		awaitConnections(t, u, 1)
		if err := u.Close(); err != nil {
			t.Fatal(err)
		}
		if got := u.Usage(); got.Ready != 0 {
			t.Fatalf("%+v", got)
		}
	}
}

// stateConn is a connection of the embedder's own that reports its state.
type stateConn struct {
	grpc.ClientConnInterface
	state connectivity.State
}

func (s *stateConn) GetState() connectivity.State { return s.state }

// The usage of an embedder's connection follows the state that it reports.
func TestUsageOfAGivenConnection(t *testing.T) {
	for state, want := range map[connectivity.State]int{
		connectivity.Ready: 1, connectivity.Idle: 1, connectivity.Connecting: 0, connectivity.TransientFailure: 0, connectivity.Shutdown: 0,
	} {
		u := &Upstream{params: Params{Conn: &stateConn{state: state}}}
		if got := u.Usage(); got.Connections != 1 || got.Ready != want {
			t.Errorf("%v: %+v, want %d ready", state, got, want)
		}
	}
	silent := &Upstream{params: Params{Conn: struct{ grpc.ClientConnInterface }{}}}
	if got := silent.Usage(); got.Ready != 1 {
		t.Errorf("a connection without a state: %+v", got)
	}
}
