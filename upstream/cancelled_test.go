package upstream

import (
	"net"
	"testing"
	"time"
)

// TestClosingWhileConnectingLogsNothing: the attempt that Close cancels is no failure of the backend. A bridge whose
// port is taken ends a moment after it has begun to connect.
func TestClosingWhileConnectingLogsNothing(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // its connections are not accepted, nor answered
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
