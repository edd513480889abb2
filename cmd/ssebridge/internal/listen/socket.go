package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
)

// probeTimeout is how long a server may take to answer on a socket that is in the way.
// A live one's kernel answers at once.
const probeTimeout = time.Second

// socketFile is a listener on a unix socket, and the file by which it is found.
type socketFile struct {
	*net.UnixListener

	path  string
	own   fs.FileInfo // the file that this listener made
	close func() error
}

// openSocket listens on a unix socket. A file that a server left behind is replaced;
// one that a server answers on, and a file that is no socket, stay and are errors.
func openSocket(ctx context.Context, at config.Address) (net.Listener, error) {
	if err := clearWay(ctx, at.Address); err != nil {
		return nil, err
	}
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error { return narrow(raw, at.Mode) }}
	opened, err := lc.Listen(ctx, "unix", at.Address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %s", at.Address, socketAdvice(err, at.Address))
	}
	listener, ok := opened.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("cannot listen on %s: no socket came of it", at.Address), opened.Close())
	}
	listener.SetUnlinkOnClose(false) // it would take away another's file, too
	s := &socketFile{UnixListener: listener, path: at.Address}
	s.close = sync.OnceValue(s.end)
	// The system's umask has had its part in the mode that the file was made with.
	if err := os.Chmod(at.Address, at.Mode); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot give %s its mode: %w", at.Address, err), listener.Close(), os.Remove(at.Address))
	}
	if s.own, err = os.Lstat(at.Address); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot listen on %s: %w", at.Address, err), listener.Close())
	}
	return s, nil
}

// clearWay removes the file at path if it is a socket without a listener.
func clearWay(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("cannot listen on %s: %w", path, err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("cannot listen on %s: a file that is no socket is there; remove it, or choose another path", path)
	}
	dialer := net.Dialer{Timeout: probeTimeout}
	conn, err := dialer.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = conn.Close() // it has answered, which was all that was asked
		return fmt.Errorf("cannot listen on %s: a server answers there; stop it, or choose another path", path)
	case errors.Is(err, syscall.ECONNREFUSED): // what is left of a server that is gone
	case errors.Is(err, fs.ErrNotExist): // gone meanwhile
		return nil
	default:
		return fmt.Errorf("cannot listen on %s: a socket is there, and whether a server has it cannot be said: %w; remove it, or choose another path",
			path, cause(err))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot listen on %s: a server left its socket there, and it cannot be removed: %w", path, err)
	}
	return nil
}

func socketAdvice(err error, path string) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("there is no folder %s; make it", filepath.Dir(path))
	case errors.Is(err, syscall.EACCES):
		return fmt.Sprintf("not permitted; the folder %s must be writable", filepath.Dir(path))
	case errors.Is(err, syscall.EROFS):
		return fmt.Sprintf("the folder %s is on a file system that is read-only", filepath.Dir(path))
	default:
		return Advice(err)
	}
}

// Close ends the listener and removes its file, unless another has taken its place.
func (s *socketFile) Close() error { return s.close() }

func (s *socketFile) end() error {
	var failed error
	if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.own) {
		failed = os.Remove(s.path)
	}
	return errors.Join(failed, s.UnixListener.Close())
}
