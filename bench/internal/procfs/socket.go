package procfs

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// Sockets is what the kernel holds for the connections of a listener.
type Sockets struct {
	Count   int
	Memory  int64 // bytes of buffers: received, to send, reserved, options, backlog
	Largest int64 // the most of one connection
}

// ListenerSockets asks ss, of iproute2, for the established connections to a
// local port, at the listener's end. The sockets' own structures, about 2.5 KiB
// each, are not in what ss counts.
func ListenerSockets(ctx context.Context, port int) (Sockets, error) {
	command := exec.CommandContext(ctx, "ss", "--tcp", "--numeric", "--memory", "--no-header", //nolint:gosec // a number
		"state", "established", "sport", "=", ":"+strconv.Itoa(port))
	text, err := command.Output()
	if err != nil {
		return Sockets{}, fmt.Errorf("ss: %w", err)
	}
	return parseSockets(text), nil
}

// parseSockets adds up what stands in skmem:(…): "r" bytes received, "f" reserved
// ahead, "w" to send, "o" options, "bl" backlog. "t" is a part of w.
func parseSockets(text []byte) Sockets {
	var s Sockets
	for line := range bytes.Lines(text) {
		_, memory, found := strings.Cut(string(line), "skmem:(")
		if !found {
			continue
		}
		memory, _, _ = strings.Cut(memory, ")")
		s.Count++
		var bytes int64
		for field := range strings.SplitSeq(memory, ",") {
			name := strings.TrimRight(field, "0123456789")
			switch name {
			case "r", "f", "w", "o", "bl":
				n, _ := strconv.ParseInt(field[len(name):], 10, 64) // digits only
				bytes += n
			}
		}
		s.Memory += bytes
		s.Largest = max(s.Largest, bytes)
	}
	return s
}
