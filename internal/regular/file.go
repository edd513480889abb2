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

// ErrSpecial says that a name stands for a folder, a pipe, a socket or a device.
var ErrSpecial = errors.New("not a regular file")

// TooLargeError says that a file has more bytes than it may have.
type TooLargeError struct{ Most int64 }

// Error says how many it may have.
func (e *TooLargeError) Error() string { return fmt.Sprintf("larger than %d bytes", e.Most) }

// Unreadable returns an error of this package in words without the file's name, which
// may have come from the environment. want is the kind of file that the name should be
// of: "a PEM file". It ends with a comma where a clause does that begins with one.
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

// Unwrap is the error with the file's name.
func (e *unreadableError) Unwrap() error { return e.err }

// Open opens a file for reading. It does not wait for a writer, whatever kind of
// file it is. Errors are *fs.PathError.
func Open(name string) (*os.File, error) {
	// A device may do something by being opened.
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
	// By now the name may stand for something else.
	if info, err = file.Stat(); err == nil {
		err = check(name, info)
	}
	if err != nil {
		_ = file.Close() // nothing was read, even
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

// Read returns the content of a file, if that is no more than so many bytes, whatever size
// the file claims. Errors are *fs.PathError, of [ErrSpecial], of a
// *[TooLargeError], or of the system's.
func Read(name string, most int64) ([]byte, error) {
	file, err := Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, &fs.PathError{Op: "read", Path: name, Err: &TooLargeError{most}}
	}
	return data, nil
}
