package kubernetes

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ssebridge/ssebridge/deploy/test/internal/bridgetest"
)

// The order in which a kubelet starts the sidecar's pod, with the manifest's own configuration, probes and
// commands: the bridge first, its app only when the startup probe is content, ready when both are.
func TestSidecarStartsBeforeItsApp(t *testing.T) {
	found := decode(t, bridgetest.Read(t, "deploy/kubernetes/sidecar.yaml"))
	pod := found.deployments["chat"].Spec.Template.Spec
	c, app := bridgeContainer(t, pod), pod.Containers[0]
	const public, admin, backend = `":8080"`, `":9901"`, "127.0.0.1:50051"
	asked, target := bridgetest.FreeAddress(t), bridgetest.FreeAddress(t)
	configuration := strings.NewReplacer(public, bridgetest.FreeAddress(t), admin, asked, backend, target).Replace(found.configuration(t, pod, c))
	file := filepath.Join(t.TempDir(), "ssebridge.yaml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}

	running := bridgetest.Start(t, bridgetest.Command(), replaced(t, c.Args, "/etc/ssebridge/ssebridge.yaml", file)...)
	bridgetest.Await(t, "http://"+asked+c.StartupProbe.HTTPGet.Path, http.StatusOK)
	ready := "http://" + asked + c.ReadinessProbe.HTTPGet.Path
	if status, _, err := bridgetest.Status(t.Context(), ready); err != nil || status == http.StatusOK {
		t.Errorf("ready without its app: %d, %v", status, err)
	}
	beside := bridgetest.Start(t, bridgetest.Command(), replaced(t, app.Args, backend, target)...)
	bridgetest.Await(t, ready, http.StatusOK)

	// And the order in which it ends them.
	beside.Stop(t)
	bridgetest.Await(t, "http://"+asked+c.LivenessProbe.HTTPGet.Path, http.StatusOK)
	bridgetest.Await(t, ready, http.StatusOK)
	running.Stop(t)
}

// replaced are arguments with another in place of one, which has to be there.
func replaced(t testing.TB, args []string, one, other string) []string {
	t.Helper()
	var to []string
	was := false
	for _, a := range args {
		if a == one {
			a, was = other, true
		}
		to = append(to, a)
	}
	if !was {
		t.Errorf("%q has no %s", args, one)
	}
	return to
}
