package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc/<pid>/stat: USER_HZ, which is 100 on
// every machine that Go runs on.
const tick = 10 * time.Millisecond

// root is where the kernel's files are.
const root = "/proc"

// Usage is what processes have used until now, and what they hold.
type Usage struct {
	User, System time.Duration // on a processor
	Threads      int
	Descriptors  int
	PSS          int64 // bytes; what is shared counts in parts
	Anonymous    int64 // bytes of PSS that no file is behind: heap and stacks
	RSS          int64 // bytes
}

// CPU returns the time on a processor, in the process and in the kernel for it.
func (u *Usage) CPU() time.Duration { return u.User + u.System }

// CPU returns the time on a processor of some processes and everything that
// they have started, as long as it runs.
func CPU(pids ...int) (user, system time.Duration, err error) {
	err = each(pids, func(p stat) error {
		user += p.user
		system += p.system
		return nil
	})
	return user, system, err
}

// Read returns what some processes and everything that they have started use.
func Read(pids ...int) (Usage, error) {
	var u Usage
	err := each(pids, func(p stat) error {
		u.User += p.user
		u.System += p.system
		u.Threads += p.threads
		return u.addMemory(p.pid)
	})
	return u, err
}

// addMemory adds a process's memory and descriptors.
func (u *Usage) addMemory(pid int) error {
	folder := filepath.Join(root, strconv.Itoa(pid))
	text, err := os.ReadFile(filepath.Join(folder, "smaps_rollup")) //nolint:gosec // in /proc
	if err != nil {
		return err
	}
	for name, into := range map[string]*int64{"Pss": &u.PSS, "Pss_Anon": &u.Anonymous, "Rss": &u.RSS} {
		size, err := kilobytes(text, name)
		if err != nil {
			return fmt.Errorf("%s/smaps_rollup: %w", folder, err)
		}
		*into += size
	}
	open, err := os.ReadDir(filepath.Join(folder, "fd"))
	if err != nil {
		return err
	}
	u.Descriptors += len(open)
	return nil
}

// kilobytes finds a line "name:  123 kB" and returns its number in bytes.
func kilobytes(text []byte, name string) (int64, error) {
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) == 3 && fields[0] == name+":" && fields[2] == "kB" {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no %s", name)
}

// stat is what /proc/<pid>/stat says of a process, as far as it matters here.
type stat struct {
	pid, parent  int
	user, system time.Duration
	threads      int
}

// parseStat reads /proc/<pid>/stat. The program's name, in brackets, may hold
// anything; the fields that count stand after its last bracket (proc(5)).
func parseStat(text []byte) (stat, error) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return stat{}, fmt.Errorf("no name in %.80q", text)
	}
	fields := strings.Fields(string(text[end+1:]))
	const after = 3 // the first field after the name is the third
	number := func(field int) int64 {
		if field-after >= len(fields) {
			return -1
		}
		n, err := strconv.ParseInt(fields[field-after], 10, 64)
		if err != nil {
			return -1
		}
		return n
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:open])))
	parent, user, system, threads := number(4), number(14), number(15), number(20)
	if err != nil || min(parent, user, system, threads) < 0 {
		return stat{}, fmt.Errorf("not what proc(5) says: %.80q", text)
	}
	return stat{pid, int(parent), time.Duration(user) * tick, time.Duration(system) * tick, int(threads)}, nil
}

// each calls f for some processes and those that descend from them.
func each(pids []int, f func(stat) error) error {
	all, err := processes()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if _, ok := all[pid]; !ok {
			return fmt.Errorf("there is no process %d", pid)
		}
	}
	for pid := range all {
		if descends(all, pid, pids) {
			if err := f(all[pid]); err != nil {
				return err
			}
		}
	}
	return nil
}

// descends reports whether a process is one of some or was started by one.
func descends(all map[int]stat, pid int, from []int) bool {
	for pid > 0 {
		if slices.Contains(from, pid) {
			return true
		}
		pid = all[pid].parent
	}
	return false
}

// processes returns every process there is.
func processes() (map[int]stat, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	all := map[int]stat{}
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, entry.Name(), "stat"))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has ended meanwhile
		}
		if err != nil && len(text) == 0 {
			continue // the same, noticed later (ESRCH)
		}
		p, err := parseStat(text)
		if err != nil {
			return nil, err
		}
		all[p.pid] = p
	}
	return all, nil
}
