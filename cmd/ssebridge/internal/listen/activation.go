package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
)

// The names of what the command listens on: the configuration's keys, and systemd's
// FileDescriptorName=.
const (
	Public = "listen"
	Admin  = "admin"
)

// Inherited takes the sockets that systemd has opened for this process (sd_listen_fds(3)),
// by their names: listen and admin. A single one may have any name; it is listen. Without
// LISTEN_PID naming this process there are none. It may be called once: the environment
// does not tell of the sockets afterwards.
func Inherited() (map[string]net.Listener, error) {
	files := activation.Files(true)
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
				"systemd passed a socket named %q; write FileDescriptorName=%s or FileDescriptorName=%s in its unit", name, Public, Admin), listener.Close())
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

// inherit makes a listener of a descriptor, which is closed.
func inherit(file *os.File) (net.Listener, error) {
	listener, err := net.FileListener(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("systemd passed a socket named %q that cannot be listened on: %w; it must be a ListenStream= with Accept=no", file.Name(), err)
	}
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		return listener, nil // a unix socket, whose file is systemd's
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the socket %q that systemd passed: %w", file.Name(), err), listener.Close())
	}
	// An MPTCP socket does not have the option, and is good without it.
	if err := setUp("", "", raw); err != nil && !errors.Is(err, syscall.ENOPROTOOPT) {
		return nil, errors.Join(fmt.Errorf("the socket %q that systemd passed: %w", file.Name(), err), listener.Close())
	}

	return listener, nil
}
