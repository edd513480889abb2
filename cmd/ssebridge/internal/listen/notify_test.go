package listen

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serviceManager is what the environment names to be notified.
func serviceManager(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closing(t, manager) })
	t.Setenv("NOTIFY_SOCKET", path)
	return manager
}

func TestNotifierNotifiesTheServiceManager(t *testing.T) {
	manager := serviceManager(t)
	log := &journal{}
	notifier := Notifier{Logger: log.logger()}
	for _, tc := range []struct {
		tell func()
		want string
	}{
		{func() { notifier.Ready("serving") }, "READY=1\nSTATUS=serving"},
		{notifier.Reloading, "RELOADING=1\nMONOTONIC_USEC="},
		{notifier.Stopping, "STOPPING=1\nSTATUS=stopping: "},
	} {
		tc.tell()
		if err := manager.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, 256)
		n, err := manager.Read(buffer)
		if got := string(buffer[:n]); err != nil || !strings.HasPrefix(got, tc.want) {
			t.Errorf("got %q, %v, want %q", got, err, tc.want)
		}
	}
	if log.String() != "" {
		t.Error(log)
	}

	t.Setenv("NOTIFY_SOCKET", manager.LocalAddr().String()+".gone")
	notifier.Ready("")
	if got := log.String(); !strings.Contains(got, "could not be told") {
		t.Errorf("got %q", got)
	}
	t.Setenv("NOTIFY_SOCKET", "")
	(Notifier{}).Ready("") // there is no service manager
}

// A queue that is not read is full after some messages; serving is not held up by it.
func TestNotifierDoesNotWait(t *testing.T) {
	serviceManager(t) // which reads nothing
	log := &journal{}
	for !strings.Contains(log.String(), "i/o timeout") { // without a deadline, forever
		(Notifier{Logger: log.logger()}).Ready("")
	}
}
