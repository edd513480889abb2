//go:build unix

package regular

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReadOfAFile(t *testing.T) {
	folder := t.TempDir()
	name := filepath.Join(folder, "file")
	if err := errors.Join(os.WriteFile(name, []byte("12345"), 0o600), os.Symlink("file", filepath.Join(folder, "link"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{name, filepath.Join(folder, "link")} {
		if data, err := Read(name, 5); err != nil || string(data) != "12345" {
			t.Errorf("got %q, %v", data, err)
		}
	}
	data, err := Read(name, 4)
	large, in := errors.AsType[*TooLargeError](err)
	if data != nil || !in || large.Most != 4 || err.Error() != "read "+name+": larger than 4 bytes" {
		t.Errorf("got %q, %v", data, err)
	}
	if _, err := Read(filepath.Join(folder, "gone"), 5); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// Read does not read a sparse terabyte to find that it is too large.
func TestReadOfAnEndlessFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sparse")
	if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Truncate(name, 1<<40)); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(name, 1<<10); !errors.As(err, new(*TooLargeError)) {
		t.Errorf("got %v", err)
	}
}

func TestReadOfSpecialFiles(t *testing.T) {
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	listener, err := net.Listen("unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // the test ends
	if err := errors.Join(unix.Mkfifo(at("pipe"), 0o600), os.Symlink("pipe", at("link")), os.Symlink(os.DevNull, at("device")), os.Symlink("/dev/zero", at("zero"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{folder, at("socket"), at("pipe"), at("link"), at("device"), at("zero")} {
		_, err := Read(name, 1<<10)
		if in, ok := errors.AsType[*fs.PathError](err); !ok || !errors.Is(err, ErrSpecial) || in.Path != name {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestUnreadableKeepsTheCauseAndNotTheName(t *testing.T) {
	name := filepath.Join(t.TempDir(), "secret")
	_, err := Read(name, 1)
	got := Unreadable(err, "a PEM file")
	if strings.Contains(got.Error(), "secret") || !errors.Is(got, fs.ErrNotExist) || !errors.As(got, new(*fs.PathError)) {
		t.Errorf("got %v", got)
	}
	_, err = Read(t.TempDir(), 1)
	if got := Unreadable(err, "a PEM file").Error(); got != "not a regular file; name a PEM file" {
		t.Errorf("got %s", got)
	}
}
