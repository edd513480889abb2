package compose

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/yaml"

	"github.com/ssebridge/ssebridge/deploy/test/internal/bridgetest"
)

func TestMain(m *testing.M) { bridgetest.Main(m) }

func project(t testing.TB) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(bridgetest.Root(), "deploy/compose/compose.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The file is what Compose's schema allows, and the bridge takes the configuration in it and is given
// the time that its drain takes.
func TestCompose(t *testing.T) {
	p := project(t)
	configuration := p.Configs["ssebridge"].Content
	bridgetest.Check(t, configuration)
	// There is one bridge, so its clients wait for it. Delay and grace are 0s then.
	var s struct {
		Drain map[string]any
	}
	if err := yaml.Unmarshal([]byte(configuration), &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Drain) != 1 || s.Drain["alone"] != true {
		t.Errorf("drain is %v, want {alone: true}", s.Drain)
	}
	const needed = 5 * time.Second
	service := p.Services["ssebridge"]
	if service.StopGracePeriod == nil || time.Duration(*service.StopGracePeriod) < needed {
		t.Errorf("stop_grace_period is %v, want %v at least", service.StopGracePeriod, needed)
	}
	for _, name := range []string{"app", "ssebridge"} {
		if c := p.Services[name]; !c.ReadOnly || !slices.Equal(c.CapDrop, []string{"ALL"}) {
			t.Errorf("%s may more than it needs", name)
		}
	}
	// A network that nginx took from the bridge's container would be gone when that is replaced.
	nginx := p.Services["nginx"]
	if nginx.NetworkMode != "" || len(nginx.Ports) != 1 || !strings.Contains(strings.Join(nginx.Command, " "), "server ssebridge:8080 resolve") {
		t.Errorf("nginx is on the network %q with ports %v, and runs %q; want a network of its own, on which it looks the bridge up", nginx.NetworkMode, nginx.Ports, nginx.Command)
	}
	if got, want := p.Configs["nginx"].File, filepath.Join(bridgetest.Root(), "deploy/proxy/nginx.conf"); got != want {
		t.Errorf("nginx reads %s, want %s", got, want)
	}
}
