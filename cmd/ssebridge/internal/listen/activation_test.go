package listen

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// inheritorRole is set in the environment of a process that plays the service.
const inheritorRole = "LISTEN_TEST_INHERITOR"

// inheritor prints what it has inherited, and accepts one connection on each.
func inheritor() int {
	listeners, err := Inherited()
	if err != nil {
		fmt.Fprintln(os.Stdout, "error:", err)
		return 1
	}
	if again, err := Inherited(); err != nil || len(again) > 0 {
		fmt.Fprintln(os.Stdout, "there are some a second time")
	}
	for _, name := range slices.Sorted(maps.Keys(listeners)) {
		fmt.Fprintln(os.Stdout, name, listeners[name].Addr())
	}
	for _, listener := range listeners {
		conn, err := listener.Accept()
		if err := errors.Join(err, listener.Close()); err != nil {
			fmt.Fprintln(os.Stdout, "error:", err)
		}
		if conn != nil {
			_ = conn.Close()
		}
	}
	return 0
}

// passed starts a service with sockets, as systemd does, and returns what it prints.
func passed(t *testing.T, names, pid string, sockets ...filer) string {
	t.Helper()
	return counted(t, len(sockets), names, pid, sockets...)
}

type filer interface{ File() (*os.File, error) }

// counted does it with another number of them in the environment.
func counted(t *testing.T, count int, names, pid string, sockets ...filer) string {
	t.Helper()
	// LISTEN_PID is the process's own, which is known once it runs.
	command := exec.CommandContext(t.Context(), "sh", "-c", `LISTEN_PID=`+pid+` exec "$0"`, os.Args[0])
	command.Env = append(os.Environ(), inheritorRole+"=1", fmt.Sprintf("LISTEN_FDS=%d", count), "LISTEN_FDNAMES="+names)
	for _, socket := range sockets {
		file, err := socket.File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closing(t, file) })
		command.ExtraFiles = append(command.ExtraFiles, file)
	}
	out, _ := command.CombinedOutput() // that it ended with an error shows in what it printed
	return string(out)
}

// waiting is a listener with a connection that waits.
func waiting(t *testing.T) *net.TCPListener {
	t.Helper()
	listener, ok := tcp(t).(*net.TCPListener)
	if !ok {
		t.Fatal("no TCP listener")
	}
	t.Cleanup(func() { closing(t, listener) })
	dial(t, listener)
	return listener
}

func TestInheritedSockets(t *testing.T) {
	one, two := waiting(t), waiting(t)
	path := filepath.Join(t.TempDir(), "s.sock")
	unix, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, unix)
	dial(t, unix)
	for _, tc := range []struct{ name, got, want string }{
		{"both", passed(t, "listen:admin", "$$", one, two), fmt.Sprintf("admin %v\nlisten %v\n", two.Addr(), one.Addr())},
		{"a unit's name", passed(t, "ssebridge.socket", "$$", waiting(t)), "listen 127.0.0.1:"},
		{"no name", passed(t, "", "$$", waiting(t)), "listen 127.0.0.1:"},
		{"admin alone", passed(t, "admin", "$$", waiting(t)), "admin 127.0.0.1:"},
		{"a unix socket", passed(t, "listen", "$$", unix), "listen " + path + "\n"},
		{"for another process", passed(t, "listen:admin", "1", waiting(t), waiting(t)), ""},
		{
			"unknown names", passed(t, "listen:web", "$$", waiting(t), waiting(t)),
			`error: systemd passed a socket named "web", one of 2; write FileDescriptorName=listen or FileDescriptorName=admin in its unit`,
		},
		{
			"no names", passed(t, "", "$$", waiting(t), waiting(t)),
			`error: systemd passed a socket named "LISTEN_FD_3", one of 2; write FileDescriptorName=listen`,
		},
		{
			"fewer than names", passed(t, "listen:admin", "$$", waiting(t)),
			`error: the number of sockets passed (LISTEN_FDS) is 1, that of their names (LISTEN_FDNAMES, "listen:admin") is 2; each must have one`,
		},
		{
			"more than names", passed(t, "listen", "$$", waiting(t), waiting(t)),
			`error: the number of sockets passed (LISTEN_FDS) is 2, that of their names (LISTEN_FDNAMES, "listen") is 1; each must have one`,
		},
		{
			"fewer than are counted", counted(t, 2, "listen:admin", "$$", waiting(t)),
			`error: systemd passed a socket named "admin" that cannot be listened on: it is no socket; write ListenStream=`,
		},
		{
			"no socket", passed(t, "listen", "$$", null{}),
			`error: systemd passed a socket named "listen" that cannot be listened on: it is no socket; write ListenStream=`,
		},
		{
			"a connection (Accept=yes)", passed(t, "connection", "$$", connected(t)),
			`error: systemd passed a socket named "connection" that cannot be listened on: it is one connection, not the socket that takes them; write Accept=no`,
		},
		{
			"packets", passed(t, "listen", "$$", packets(t)),
			`error: systemd passed a socket named "listen" that cannot be listened on: it takes packets; write ListenStream=`,
		},
		{
			"the same twice", passed(t, "listen:listen", "$$", waiting(t), waiting(t)),
			"error: systemd passed two sockets named listen; keep one ListenStream= with FileDescriptorName=listen",
		},
		{
			"datagrams", passed(t, "listen", "$$", datagrams(t)),
			`error: systemd passed a socket named "listen" that cannot be listened on: it takes datagrams; write ListenStream=`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if !strings.HasPrefix(tc.got, tc.want) || tc.want == "" && tc.got != "" || strings.Contains(tc.got, "a second time") {
				t.Errorf("got %q, want %q", tc.got, tc.want)
			}
		})
	}
	if !exists(t, path) {
		t.Error("systemd's socket file is gone")
	}
}

func datagrams(t *testing.T) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closing(t, conn) })
	return conn
}

// null is a descriptor of something else than a socket.
type null struct{}

func (null) File() (*os.File, error) { return os.Open(os.DevNull) }

// connected is what is passed with Accept=yes.
func connected(t *testing.T) *net.TCPConn {
	t.Helper()
	listener := waiting(t)
	conn, err := listener.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closing(t, conn) })
	return conn
}

// packets is what is passed with ListenSequentialPacket=.
func packets(t *testing.T) *net.UnixListener {
	t.Helper()
	listener, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "p.sock"), Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closing(t, listener) })
	return listener
}
