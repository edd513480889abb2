package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// activate plays systemd for a command: activate SOCKETS NAMES COMMAND…. It passes the
// sockets, takes the command's notifications, asks on each socket once it is ready, has it
// reload, and stops it. It prints the notifications and answers.
func activate() {
	if err := activated(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stdout, "activate:", err)
		os.Exit(1)
	}
}

func activated(count, names string, args []string) error {
	sockets, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	path := filepath.Join(os.Getenv("WORK"), "notify")
	states, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer states.Close() //nolint:errcheck // the process ends
	// LISTEN_PID is the command's own, which is known once it runs.
	command := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, args...)...)
	command.Env = append(os.Environ(), "LISTEN_FDS="+count, "LISTEN_FDNAMES="+names, "NOTIFY_SOCKET="+path)
	command.Stderr = os.Stderr
	addresses := make([]string, sockets)
	for i := range addresses {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		tcp, ok := listener.(*net.TCPListener)
		if !ok {
			return errors.New("no TCP listener")
		}
		file, err := tcp.File()
		if err != nil {
			return err
		}
		command.ExtraFiles = append(command.ExtraFiles, file)
		addresses[i] = listener.Addr().String()
	}
	if err := command.Start(); err != nil {
		return err
	}
	err = states.SetReadDeadline(time.Now().Add(time.Minute)) // a state that does not come must not keep the test
	if err == nil {
		err = converse(command.Process, states, strings.Split(names, ":"), addresses)
	}
	if err != nil {
		err = errors.Join(err, command.Process.Kill())
	}
	err = errors.Join(err, command.Wait())
	fmt.Fprintln(os.Stdout, "exit", command.ProcessState.ExitCode())
	return err
}

// converse has a command that tells of its states go through all of them.
func converse(process *os.Process, states io.Reader, names, addresses []string) error {
	await := func(want string) error {
		buffer := make([]byte, 256)
		for {
			n, err := states.Read(buffer)
			if err != nil {
				return err
			}
			fmt.Fprintln(os.Stdout, string(buffer[:n]))
			if strings.HasPrefix(string(buffer[:n]), want) {
				return nil
			}
		}
	}
	if err := await("READY=1"); err != nil {
		return err
	}
	for i, address := range addresses {
		answer, err := http.Get("http://" + address + "/healthz")
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stdout, "answer on %s: %d\n", names[i], answer.StatusCode)
		if err := answer.Body.Close(); err != nil {
			return err
		}
	}
	for _, step := range []struct {
		change func() error // before the signal
		signal os.Signal
		want   []string
	}{
		{nil, syscall.SIGHUP, []string{"RELOADING=1", "READY=1\nSTATUS=serving"}},
		{breakConfig, syscall.SIGHUP, []string{"RELOADING=1", "READY=1\nSTATUS=serving; the newest configuration is refused"}},
		{nil, syscall.SIGTERM, []string{"STOPPING=1"}},
	} {
		if step.change != nil {
			if err := step.change(); err != nil {
				return err
			}
		}
		if err := process.Signal(step.signal); err != nil {
			return err
		}
		for _, want := range step.want {
			if err := await(want); err != nil {
				return err
			}
		}
	}
	return nil
}

// breakConfig makes the configuration a faulty one.
func breakConfig() error {
	return os.WriteFile(filepath.Join(os.Getenv("WORK"), "ssebridge.yaml"), []byte("routes: none\n"), 0o600)
}
