package procfs

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestStatOfANameWithEverythingInIt(t *testing.T) {
	got, err := parseStat([]byte("42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 9 0 100 1 1 1\n"))
	want := stat{pid: 42, parent: 7, user: 1500 * time.Millisecond, system: 250 * time.Millisecond, threads: 9}
	if err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "42", "42 (a", "42 (a) S 7", "x (a) S 7 42 42 0 -1 0 1 2 3 4 150 25 0 0 20 0 9"} {
		if got, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

func TestAProcessAndItsChildren(t *testing.T) {
	command := exec.Command("sleep", "60")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	}()
	both, err := Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	child, err := Read(command.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if child.Threads != 1 || child.PSS <= 0 || child.RSS < child.PSS || child.Descriptors < 3 {
		t.Errorf("of sleep: %+v", child)
	}
	if both.Threads <= child.Threads || both.PSS <= child.PSS || both.Descriptors <= child.Descriptors || both.Anonymous <= 0 {
		t.Errorf("of this process and sleep: %+v", both)
	}
	if _, _, err := CPU(command.Process.Pid, 1<<30); err == nil {
		t.Error("a process that there is not has used time")
	}
}

func TestCPUIsTheTimeThatWasUsed(t *testing.T) {
	before, system, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	before += system
	// Not for a time, which a busy machine may not give us, but until it shows.
	deadline := time.Now().Add(time.Minute)
	for n := 0; ; n++ {
		if n%(1<<24) != 0 {
			continue
		}
		user, system, err := CPU(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if user+system >= before+5*tick {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("a busy loop uses no time")
		}
	}
}

func TestSockets(t *testing.T) {
	text := `0 0 127.0.0.1:80 127.0.0.1:1 skmem:(r1,rb131072,t5,tb2626560,f4096,w20,o3,bl7,d9)
0 0 127.0.0.1:80 127.0.0.1:2
	 skmem:(r0,rb131072,t0,tb2626560,f0,w500000,o0,bl0,d0)
`
	want := Sockets{Count: 2, Memory: 1 + 4096 + 20 + 3 + 7 + 500000, Largest: 500000}
	if got := parseSockets([]byte(text)); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
