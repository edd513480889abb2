package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/ssebridge/ssebridge/deploy/test/internal/bridgetest"
)

func TestMain(m *testing.M) { bridgetest.Main(m) }

const service, socket = "ssebridge.service", "ssebridge.socket"

// units copies the units into a folder. The command is that of this test, which is there.
func units(t testing.TB) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for _, name := range []string{service, socket} {
		content := bridgetest.Read(t, "deploy/systemd/"+name)
		if name == service {
			installed := "/usr/local/bin/ssebridge"
			if !strings.Contains(content, "ExecStart="+installed+" serve ") {
				t.Errorf("%s does not start %s", name, installed)
			}
			content = strings.ReplaceAll(content, "="+installed, "="+bridgetest.Command())
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// analyze runs systemd-analyze and returns what it says.
func analyze(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command("systemd-analyze", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze %s: %v; Debian's package is systemd\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// systemd knows every key, and understands every value.
func TestUnitsAreUnderstood(t *testing.T) {
	folder := units(t)
	for _, name := range []string{service, socket} {
		out := analyze(t, "verify", "--man=no", "--recursive-errors=no", filepath.Join(folder, name))
		for line := range strings.Lines(out) {
			if strings.Contains(line, "ssebridge") {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}

var exposure = regexp.MustCompile(`Overall exposure level for ssebridge\.service: ([0-9.]+)`)

// The service's sandbox leaves little open, by systemd's own measure, where 10 is everything.
func TestServiceIsHardened(t *testing.T) {
	const most = 2.0
	out := analyze(t, "security", "--offline=true", "--no-pager", filepath.Join(units(t), service))
	found := exposure.FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("no score in\n%s", out)
	}
	score, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("exposure %.1f of 10", score)
	if score > most {
		t.Errorf("exposure %.1f, want %.1f at most\n%s", score, most, out)
	}
}

// The service is given the time that draining takes, and the descriptors that clients need.
func TestServiceIsGivenTimeAndDescriptors(t *testing.T) {
	content := bridgetest.Read(t, "deploy/systemd/"+service)
	stop, err := time.ParseDuration(value(t, content, "TimeoutStopSec"))
	if err != nil || stop < 35*time.Second {
		t.Errorf("TimeoutStopSec is %v (%v), want 35s at least: the default drain, and 5 s", stop, err)
	}
	files, err := strconv.Atoi(value(t, content, "LimitNOFILE"))
	if err != nil || files < 11_000 {
		t.Errorf("LimitNOFILE is %d (%v), want room for the default 10,000 clients", files, err)
	}
}

// The service has a limit of memory, and Go's own below it, so that it collects rather than is killed.
func TestServiceHasAMemoryLimit(t *testing.T) {
	content := bridgetest.Read(t, "deploy/systemd/"+service)
	limit, err := resource.ParseQuantity(strings.Replace(value(t, content, "MemoryMax"), "M", "Mi", 1))
	if err != nil {
		t.Fatal(err)
	}
	variable := value(t, content, "Environment")
	text, found := strings.CutPrefix(variable, "GOMEMLIMIT=")
	goes, err := resource.ParseQuantity(strings.TrimSuffix(text, "B"))
	if !found || err != nil || goes.Value() >= limit.Value() {
		t.Errorf("%s (%v), want GOMEMLIMIT below %d bytes", variable, err, limit.Value())
	}
}

// A machine has one bridge. The bridge takes the configuration that the unit
// names, and its clients wait for it over a restart.
func TestConfigurationIsForOneBridge(t *testing.T) {
	content := bridgetest.Read(t, "deploy/systemd/ssebridge.yaml")
	bridgetest.Check(t, content)
	if !strings.Contains(content, "\ndrain: {alone: true}") {
		t.Errorf("the bridge is not alone in\n%s", content)
	}
}

// value is what a unit says of a key.
func value(t testing.TB, unit, key string) string {
	t.Helper()
	for line := range strings.Lines(unit) {
		if value, ok := strings.CutPrefix(line, key+"="); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Errorf("no %s", key)
	return ""
}

// A faulty configuration fails the reload, before the service is asked to read it; and a service that was restarted with one
// comes back when the file is mended, however long that takes.
func TestFaultyConfigurationTakesNoServiceDown(t *testing.T) {
	content := bridgetest.Read(t, "deploy/systemd/"+service)
	var reload []string
	for line := range strings.Lines(content) {
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecReload="); ok {
			reload = append(reload, command)
		}
	}
	if len(reload) != 2 || !strings.HasPrefix(reload[0], "/usr/local/bin/ssebridge check ") || !strings.HasSuffix(reload[1], "kill -HUP $MAINPID") {
		t.Fatalf("a reload runs %q", reload)
	}
	for text, code := range map[string]int{
		"routes: none": 1,
		"upstreams: {app: {target: 'localhost:1'}}\nroutes: [{path: /a, rpc: a.B/C, upstream: app}]\n": 0,
	} {
		file := filepath.Join(t.TempDir(), "ssebridge.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args := strings.Fields(strings.Replace(reload[0], "/etc/ssebridge/ssebridge.yaml", file, 1))
		check := exec.Command(bridgetest.Command(), args[1:]...)
		out, err := check.CombinedOutput()
		if check.ProcessState.ExitCode() != code {
			t.Errorf("%q: %v\n%s", text, err, out)
		}
	}
	if value(t, content, "StartLimitIntervalSec") != "0" || value(t, content, "Restart") != "on-failure" {
		t.Error("systemd gives the service up after some starts")
	}
}
