package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
)

// The names of what the command listens on: the configuration's keys, and systemd's
// FileDescriptorName=.
const (
	Public = "listen"
	Admin  = "admin"
)

// errNoSocket is what is wrong with a descriptor that is something else, or is not there.
var errNoSocket = errors.New("it is no socket; write ListenStream= (and if no systemd made it, LISTEN_FDS counts more than were passed)")

// Inherited takes the sockets that systemd has opened for this process (sd_listen_fds(3)),
// by their names: listen and admin. A single one may have any name; it is listen. Without
// LISTEN_PID naming this process there are none. It may be called once: the environment
// does not tell of the sockets afterwards.
func Inherited() (map[string]net.Listener, error) {
	names := os.Getenv("LISTEN_FDNAMES") // which Files takes out of the environment
	files := activation.Files(true)
	if n := strings.Count(names, ":") + 1; len(files) > 0 && names != "" && n != len(files) {
		return nil, fmt.Errorf("the number of sockets passed (LISTEN_FDS) is %d, that of their names (LISTEN_FDNAMES, %q) is %d; each must have one",
			len(files), names, n)
	}
	listeners := make(map[string]net.Listener, len(files))
	var wrong []error
	for _, file := range files {
		name := file.Name()
		if name != Admin && len(files) == 1 {
			name = Public
		}
		listener, err := inherit(file)
		switch {
		case err != nil:
			wrong = append(wrong, err)
		case name != Public && name != Admin:
			wrong = append(wrong, fmt.Errorf(
				"systemd passed a socket named %q, one of %d; write FileDescriptorName=%s or FileDescriptorName=%s in its unit, and a unit for each",
				name, len(files), Public, Admin), listener.Close())
		case listeners[name] != nil:
			wrong = append(wrong, fmt.Errorf(
				"systemd passed two sockets named %s; keep one ListenStream= with FileDescriptorName=%s", name, name), listener.Close())
		default:
			listeners[name] = listener
		}
	}
	if err := errors.Join(wrong...); err != nil {
		for _, listener := range listeners {
			err = errors.Join(err, listener.Close())
		}
		return nil, err
	}
	return listeners, nil
}

// inherit makes a listener of a descriptor, which is closed then.
func inherit(file *os.File) (net.Listener, error) {
	if err := unfit(file); err != nil {
		// It stays open: what is no socket may by now be a descriptor of Go's own.
		return nil, fmt.Errorf("systemd passed a socket named %q that cannot be listened on: %w", file.Name(), err)
	}
	listener, err := net.FileListener(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("systemd passed a socket named %q that cannot be listened on: %w; it must be a ListenStream= with Accept=no", file.Name(), err)
	}
	return listener, nil
}
