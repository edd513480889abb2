package upstream

import (
	"net"
	"testing"
	"time"

	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// The attempt to connect that Close cancels is no failure of the backend. A bridge whose port is
// taken ends a moment after it has begun to connect.
func TestClosingWhileConnectingLogsNothing(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // it accepts no connection
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
	}()
	for wait := range 50 {
		log := &lines{}
		u, err := New(Params{Target: listener.Addr().String(), Logger: log.logger()})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(wait) * 100 * time.Microsecond) // at another moment of the attempt each time
		if err := u.Close(); err != nil {
			t.Fatal(err)
		}
		if n := log.count("level=WARN"); n > 0 {
			t.Fatalf("closed after %d attempts of 0.1 ms: %s", wait, log.text.String())
		}
	}
}

// An address that the resolver drops during an attempt to connect has no failed attempt in the log.
func TestAnAddressThatIsRemovedWhileConnectingLogsNothing(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	backend := backendtest.Start(t)
	r := manual.NewBuilderWithScheme("leaving")
	resolver.Register(r)
	r.InitialState(stateOf(listener.Addr().String()))
	log := &lines{}
	u, err := New(Params{Target: "leaving:///app", Schema: quiet(), Logger: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := listener.Accept() // the server stays silent
	if err != nil {
		t.Fatal(err)
	}
	r.UpdateState(stateOf(backend.Addr()))
	awaitAddresses(t, u, 1)
	// The attempt has ended when the connection is closed.
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = conn.Read(make([]byte, 1024))
	}
	if err := u.Close(); err != nil {
		t.Error(err)
	}
	_, _ = conn.Close(), listener.Close()
	if log.count("level=WARN") > 0 {
		t.Errorf("logged %s", log.text.String())
	}
}
