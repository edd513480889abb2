package listen

import (
	"errors"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// narrow gives a socket its mode before its file is made, so that there is no moment in
// which the file has a wider one.
func narrow(raw syscall.RawConn, mode fs.FileMode) error {
	var failed error
	err := raw.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), uint32(mode.Perm())) })
	return errors.Join(err, failed)
}
