package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inside names, in the environment of this test's own process, the files of the image
// that it is to start; see TestImageStartsWithNothingAround.
const inside = "SSEBRIDGE_IMAGE"

// patience is how long anything here may take at most.
const patience = time.Minute

// sample is a configuration whose backend is not there: the bridge starts without.
const sample = `
listen: ":8080"
admin: ":9901"
drain: {delay: 0s, grace: 100ms}
upstreams: {app: {target: "127.0.0.1:50051"}}
routes: [{path: /health, rpc: grpc.health.v1.Health/Watch, upstream: app}]
`

func TestMain(m *testing.M) {
	if given := os.Getenv(inside); given != "" {
		if err := start(given); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// container is what an engine would take from the image, for the process inside.
type container struct {
	Root    string   `json:"root"`
	Command []string `json:"command"`
	UID     uint32   `json:"uid"`
	GID     uint32   `json:"gid"`
}

// The image is unpacked and started in namespaces of its own: its files are all that there are,
// they cannot be written to, no network but loopback's, and the image's user. Without root the
// test is root of a namespace of users, and the bridge runs as the one user that it has.
func TestImageStartsWithNothingAround(t *testing.T) {
	image, ok := images(t, filepath.Join(written(t, native+"="+build(t)), "layout"))[native]
	if !ok {
		t.Fatalf("the layout has no image for %s", native)
	}
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil { // the image's user is to enter it
		t.Fatal(err)
	}
	unpack(t, image, root)
	checkFiles(t, root)
	// The file of a ConfigMap or a volume.
	if err := os.WriteFile(filepath.Join(root, configFolder, "ssebridge.yaml"), []byte(sample), 0o644); err != nil {
		t.Fatal(err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := container{Root: root, Command: append(file.Config.Entrypoint, file.Config.Cmd...)}
	if _, err := fmt.Sscanf(file.Config.User, "%d:%d", &c.UID, &c.GID); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // Pdeathsig is about the thread that starts it
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		t.Log("not root: the bridge runs as the only user of a namespace of users")
		c.UID, c.GID = 0, 0
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	given, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), inside+"="+string(given))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\nThis test needs root, or a kernel that gives namespaces to users.", err, out)
	}
	t.Log(strings.TrimSpace(string(out)))
}

// start runs in the namespaces: it starts the image, asks for its health, and stops it.
func start(given string) error {
	var c container
	if err := json.Unmarshal([]byte(given), &c); err != nil {
		return err
	}
	if err := errors.Join(raiseLoopback(), forbidWriting(c.Root)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Command[0], c.Command[1:]...)
	cmd.Env = []string{} // and not ours
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot: c.Root, Credential: &syscall.Credential{Uid: c.UID, Gid: c.GID, NoSetGroups: c.UID == 0}, Pdeathsig: syscall.SIGKILL,
	}
	runtime.LockOSThread()
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := healthy(ctx, ended); err != nil {
		return errors.Join(err, cmd.Process.Kill())
	}
	if _, err := fmt.Fprintf(os.Stdout, "healthy as user %d, %d KiB resident\n", c.UID, resident(cmd.Process.Pid)); err != nil {
		return err
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := <-ended; err != nil {
		return fmt.Errorf("after SIGTERM: %w", err)
	}
	return nil
}

// healthy waits until /healthz answers 200.
func healthy(ctx context.Context, ended <-chan error) error {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := get(ctx, "http://127.0.0.1:9901/healthz")
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case end := <-ended:
			return fmt.Errorf("it ended: %w (%w)", end, err)
		case <-ctx.Done():
			return err
		}
	}
}

func get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // it is read to its end
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

// raiseLoopback brings up the one device that a new network namespace has.
func raiseLoopback() error {
	interfaces, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagUp != 0 {
			return fmt.Errorf("%s is up: this is not a namespace of our own", i.Name)
		}
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket) //nolint:errcheck // nothing was written to it
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
}

// forbidWriting mounts a folder over itself, to be read only. What is mounted stays in
// this namespace of mounts, and goes with it.
func forbidWriting(root string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := unix.Mount(root, root, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	var s unix.Statfs_t
	if err := unix.Statfs(root, &s); err != nil {
		return err
	}
	// A namespace of users may not lift what the mount forbids already.
	kept := uintptr(s.Flags) & (unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME | unix.MS_RELATIME)
	if err := unix.Mount("", root, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|kept, ""); err != nil {
		return fmt.Errorf("read only: %w", err)
	}
	if err := os.WriteFile(filepath.Join(root, "written"), nil, 0o600); !errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("the image's files can be written to (%w)", err)
	}
	return nil
}

// resident is how much of a process is in memory, in KiB; 0 where /proc does not tell.
func resident(pid int) int {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	size, err := strconv.Atoi(strings.Fields(after + " 0")[0])
	if err != nil {
		return 0
	}
	return size
}
