package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// machine says what the figures are of.
type machine struct {
	when     string
	hardware string
	kernel   string
	load     string // how busy the machine was before
	commit   string
	versions []string
}

// inspect finds that out. What cannot be found is left out: it is for a reader.
func (l *lab) inspect(ctx context.Context) machine {
	m := machine{
		when:     time.Now().UTC().Format(time.DateOnly),
		hardware: fmt.Sprintf("%d × %s, %s", runtime.NumCPU(), procLine("/proc/cpuinfo", "model name"), memory()),
		kernel:   firstWord("/proc/sys/kernel/osrelease"),
		load:     firstWord("/proc/loadavg"),
		commit:   output(ctx, "git", "describe", "--always", "--dirty"),
		versions: []string{runtime.Version()},
	}
	for _, of := range []struct{ program, path, name string }{
		{"ssebridge", "google.golang.org/grpc", "grpc-go"},
		{"gateway", "github.com/grpc-ecosystem/grpc-gateway/v2", "grpc-gateway"},
		{"gosse", "github.com/tmaxmax/go-sse", "go-sse"},
	} {
		if version := moduleVersion(l.program(of.program), of.path); version != "" {
			m.versions = append(m.versions, of.name+" "+version)
		}
	}
	for _, of := range []string{"nginx", "libnginx-mod-nchan"} {
		if version := output(ctx, "dpkg-query", "--show", "--showformat=${Version}", of); version != "" {
			m.versions = append(m.versions, of+" "+version)
		}
	}
	return m
}

// String is a paragraph.
func (m machine) String() string {
	return fmt.Sprintf("%s, at %s: %s; Linux %s; %s. The machine's load before was %s.",
		m.when, m.commit, m.hardware, m.kernel, strings.Join(m.versions, ", "), m.load)
}

// procLine returns what stands behind a name and a colon in a file.
func procLine(path, name string) string {
	text, err := os.ReadFile(path) //nolint:gosec // a path of this program's own
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(text) {
		if key, value, found := strings.Cut(string(line), ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// memory returns the machine's memory.
func memory() string {
	var kib int
	if _, err := fmt.Sscan(procLine("/proc/meminfo", "MemTotal"), &kib); err != nil {
		return "memory unknown"
	}
	return fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))
}

// firstWord returns the first word of a file.
func firstWord(path string) string {
	text, err := os.ReadFile(path) //nolint:gosec // a path of this program's own
	if fields := strings.Fields(string(text)); err == nil && len(fields) > 0 {
		return fields[0]
	}
	return ""
}

// output returns what a command prints, nothing where it fails.
func output(ctx context.Context, command ...string) string {
	text, err := exec.CommandContext(ctx, command[0], command[1:]...).Output() //nolint:gosec // commands of this program's own
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// moduleVersion returns the version of a module in a program.
func moduleVersion(program, path string) string {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return ""
	}
	for _, module := range info.Deps {
		if module.Path == path {
			return module.Version
		}
	}
	return ""
}
