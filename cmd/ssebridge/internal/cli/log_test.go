package cli

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// JSON has no durations. A line has them with their unit, as text has.
func TestDurationsInJSONHaveAUnit(t *testing.T) {
	var out bytes.Buffer
	cmd := new(cobra.Command)
	cmd.SetErr(&out)
	flags := &logFlags{format: "json"}
	logger, err := flags.open(cmd, slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	logger.Info("reloaded", "took", 1500*time.Millisecond)
	flags.flush()
	if !strings.Contains(out.String(), `"took":"1.5s"`) {
		t.Errorf("logged %s", &out)
	}
}

// The error that ends a command is a record where the log is JSON.
func TestTheLastErrorIsJSONInALogOfJSON(t *testing.T) {
	_, _, stderr := run(t, "serve", "--log-format", "json", "--config", file(t, "ssebridge.yaml", "nonsense: 1\n"))
	if !strings.HasPrefix(stderr, "{") || !strings.Contains(stderr, `"level":"ERROR","msg":"ssebridge has failed","error":"`) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("logged %s", stderr)
	}
}
