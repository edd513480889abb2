package listen

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifyTimeout is how long the service manager may take to take a message. It reads them
// from a queue at once; one that does not is not waited for.
const notifyTimeout = 100 * time.Millisecond

// Notifier tells the service manager how the command is (sd_notify(3)), where one
// listens: NOTIFY_SOCKET, of a unit with Type=notify or notify-reload.
type Notifier struct {
	// Logger logs notifications that could not be sent. Serving does not depend on them.
	Logger *slog.Logger
}

// Ready notifies that the command serves, or that it has ended reloading. status is the line
// that systemctl status shows.
func (n Notifier) Ready(status string) { n.tell(daemon.SdNotifyReady + statusLine(status)) }

// Reloading notifies that the command reads its configuration again. Ready must follow.
func (n Notifier) Reloading() {
	n.tell(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec() + statusLine("reading the configuration again"))
}

// Stopping notifies that the command is about to end.
func (n Notifier) Stopping() {
	n.tell(daemon.SdNotifyStopping + statusLine("stopping: clients are asked to reconnect"))
}

func statusLine(status string) string { return "\nSTATUS=" + status }

func (n Notifier) tell(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if err := send(path, state); err != nil {
		n.Logger.Warn("the service manager could not be told", "state", state, "error", err)
	}
}

// send sends a datagram, and does not wait for long where it is not read.
func send(path, text string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	err = conn.SetWriteDeadline(time.Now().Add(notifyTimeout))
	if err == nil {
		_, err = conn.Write([]byte(text))
	}
	return errors.Join(err, conn.Close())
}
