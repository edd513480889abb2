package regular

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// ErrSpecial reports that a name refers to a directory, a pipe, a socket or a device.
var ErrSpecial = errors.New("not a regular file")

// TooLargeError reports that a file has more than Most bytes.
type TooLargeError struct{ Most int64 }

// Error names the limit.
func (e *TooLargeError) Error() string { return fmt.Sprintf("larger than %d bytes", e.Most) }

// Unreadable returns an error of this package without the file's name, which may come from the
// environment. want is the expected kind of file, such as "a PEM file". It ends with a comma if it
// contains a clause that begins with one.
func Unreadable(err error, want string) error {
	why := err
	if in, ok := errors.AsType[*fs.PathError](err); ok {
		why = in.Err
	}
	switch {
	case errors.Is(err, ErrSpecial):
		return &unreadableError{fmt.Sprintf("%v; name %s", why, strings.TrimSuffix(want, ",")), err}
	case errors.As(err, new(*TooLargeError)):
		return &unreadableError{fmt.Sprintf("the file is %v; name %s", why, strings.TrimSuffix(want, ",")), err}
	default:
		return &unreadableError{fmt.Sprintf("the file cannot be read: %v; name %s that the user of this process may read", why, want), err}
	}
}

type unreadableError struct {
	text string
	err  error
}

func (e *unreadableError) Error() string { return e.text }

// Unwrap returns the error with the file's name.
func (e *unreadableError) Unwrap() error { return e.err }

// Open opens a file for reading. It never waits for a writer. Errors are *fs.PathError.
func Open(name string) (*os.File, error) {
	// Opening a device may have side effects.
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if err := check(name, info); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	// The name may refer to another file by now.
	if info, err = file.Stat(); err == nil {
		err = check(name, info)
	}
	if err != nil {
		_ = file.Close() // nothing was read
		return nil, err
	}
	return file, nil
}

func check(name string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return &fs.PathError{Op: "open", Path: name, Err: ErrSpecial}
	}
	return nil
}

// Read returns the content of a file of at most limit bytes, independent of the size that the file
// reports. Errors are *fs.PathError, with [ErrSpecial], a *[TooLargeError], or an error of the
// system.
func Read(name string, limit int64) ([]byte, error) {
	file, err := Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, &fs.PathError{Op: "read", Path: name, Err: &TooLargeError{limit}}
	}
	return data, nil
}
