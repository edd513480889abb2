package listen

import (
	"log/slog"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Notifier tells the service manager how the command is (sd_notify(3)), where one
// listens: NOTIFY_SOCKET, of a unit with Type=notify or notify-reload.
type Notifier struct {
	// Logger takes what could not be told. Nobody is served worse for it.
	Logger *slog.Logger
}

// Ready tells that the command serves, or that it has ended reloading.
func (n Notifier) Ready() { n.tell(daemon.SdNotifyReady) }

// Reloading tells that the command reads its configuration again. Ready must follow.
func (n Notifier) Reloading() {
	n.tell(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

// Stopping tells that the command is about to end.
func (n Notifier) Stopping() { n.tell(daemon.SdNotifyStopping) }

func (n Notifier) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.Logger.Warn("the service manager could not be told", "state", state, "error", err)
	}
}
