package listen

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// openAt opens a unix socket.
func openAt(t *testing.T, address string) net.Listener {
	t.Helper()
	listener, err := Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// stale leaves a socket's file behind, as a server that was killed does.
func stale(t *testing.T, path string) {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	closing(t, listener)
}

func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func TestSocketHasItsModeWhateverTheUmask(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077} {
		before := syscall.Umask(umask)
		path := filepath.Join(t.TempDir(), "s.sock")
		for query, want := range map[string]fs.FileMode{"": 0o660, "?mode=0666": 0o666, "?mode=600": 0o600} {
			listener := openAt(t, "unix://"+path+query)
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != want {
				t.Errorf("umask %o, %q: got %v, %v, want %v", umask, query, info.Mode(), err, want)
			}
			closing(t, listener)
			if exists(t, path) {
				t.Error("the file is still there")
			}
		}
		syscall.Umask(before)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	stale(t, path)
	listener := openAt(t, "unix://"+path)
	defer closing(t, listener)
	dial(t, listener)
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, conn)
	if _, ok := conn.(*net.UnixConn); !ok {
		t.Errorf("Accept returned a %T, which cannot be taken over", conn)
	}
}

func TestLiveSocketIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	live := openAt(t, "unix://"+path)
	defer closing(t, live)
	_, err := Open(t.Context(), "unix://"+path)
	if err == nil || !strings.Contains(err.Error(), "a server answers there; stop it, or choose another path") {
		t.Fatalf("got %v", err)
	}
	if !exists(t, path) {
		t.Error("the live one's file is gone")
	}
}

func TestFilesThatAreNoSocketsStay(t *testing.T) {
	folder := t.TempDir()
	regular := filepath.Join(folder, "file")
	if err := os.WriteFile(regular, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(folder, "link")
	if err := os.Symlink(regular, link); err != nil {
		t.Fatal(err)
	}
	datagram := filepath.Join(folder, "datagram")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: datagram, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, conn)
	for path, want := range map[string]string{
		regular:  "a file that is no socket is there; remove it, or choose another path",
		link:     "a file that is no socket is there",
		folder:   "a file that is no socket is there",
		datagram: "a socket is there, and whether a server has it cannot be said",
	} {
		_, err := Open(t.Context(), "unix://"+path)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
		if !exists(t, path) {
			t.Errorf("%s is gone", path)
		}
	}
}

func TestSocketErrorsNameTheWayOut(t *testing.T) {
	folder := t.TempDir()
	_, err := Open(t.Context(), "unix://"+folder+"/no/s.sock")
	if err == nil || !strings.Contains(err.Error(), "there is no folder "+folder+"/no; make it") {
		t.Errorf("got %v", err)
	}
	for errno, want := range map[syscall.Errno]string{
		syscall.EACCES: "the folder /run must be writable", syscall.EROFS: "read-only", syscall.EADDRINUSE: "in use", syscall.EIO: "input/output",
	} {
		if got := socketAdvice(&net.OpError{Err: os.NewSyscallError("bind", errno)}, "/run/s.sock"); !strings.Contains(got, want) {
			t.Errorf("%v: got %q", errno, got)
		}
	}
}

// Another server that has taken the path meanwhile keeps its file.
func TestCloseRemovesOnlyItsOwnFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	first := openAt(t, "unix://"+path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second := openAt(t, "unix://"+path)
	closing(t, first)
	if !exists(t, path) {
		t.Error("the second one's file is gone")
	}
	closing(t, second)
	if err := second.Close(); err != nil { // http.Server closes twice
		t.Errorf("closed again: %v", err)
	}
	if exists(t, path) {
		t.Error("the file is still there")
	}
}
