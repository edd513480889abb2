package kubernetes

import (
	"fmt"
	"net"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/ssebridge/ssebridge/deploy/test/internal/bridgetest"
)

// portOf is the port of an address without a host.
func portOf(address string) (int32, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0, err
	}
	if host != "" {
		return 0, fmt.Errorf("%s is not reached from outside of the pod", address)
	}
	n, err := strconv.ParseInt(port, 10, 32)
	return int32(n), err
}

func TestSidecar(t *testing.T) {
	found := decode(t, bridgetest.Read(t, "deploy/kubernetes/sidecar.yaml"))
	found.checkPod(t, "chat")
	found.checkService(t, "chat")
	pod := found.deployments["chat"].Spec.Template.Spec
	if len(pod.InitContainers) != 1 || len(pod.Containers) != 1 {
		t.Errorf("want the bridge as the sidecar of one app, got %d and %d", len(pod.InitContainers), len(pod.Containers))
	}
	// The app is told first, and the Service's endpoints have to settle before it goes.
	if app := pod.Containers[0]; app.Lifecycle == nil || app.Lifecycle.PreStop == nil || app.Lifecycle.PreStop.Sleep == nil {
		t.Error("the app ends at once")
	}
}

func TestGateway(t *testing.T) {
	found := decode(t, bridgetest.Read(t, "deploy/kubernetes/gateway.yaml"))
	found.checkPod(t, "ssebridge")
	found.checkService(t, "ssebridge")
	pod := found.deployments["ssebridge"].Spec.Template.Spec
	// Each peer in a trusted network may say that it is any client, so the manifest names none by itself.
	var trust struct {
		TrustedProxies []string `json:"trusted_proxies"`
	}
	if err := yaml.Unmarshal([]byte(found.configuration(t, pod, pod.Containers[0])), &trust); err != nil || len(trust.TrustedProxies) > 0 {
		t.Errorf("it trusts %q (%v)", trust.TrustedProxies, err)
	}
	if c := pod.Containers[0]; c.Lifecycle != nil {
		t.Errorf("drain.delay is what a preStop would be: %+v", c.Lifecycle)
	}
	if got := found.services["ssebridge"].Spec.SessionAffinity; got != corev1.ServiceAffinityClientIP {
		t.Errorf("session affinity %q: a route without a cursor needs it", got)
	}
}

// The decoder is as strict as the tests above count on.
func TestDecodingIsStrict(t *testing.T) {
	for name, manifest := range map[string]string{
		"an unknown key":       "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {port: []}",
		"a key in other case":  "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {Ports: []}",
		"a key twice":          "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {type: ClusterIP, type: NodePort}",
		"a value of no type":   "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: 1}",
		"a kind of no version": "apiVersion: v2\nkind: Service\nmetadata: {name: a}",
	} {
		spy := &failures{TB: t}
		decode(spy, manifest)
		if spy.count == 0 {
			t.Errorf("%s is taken", name)
		}
	}
}

// failures counts what a test would fail by.
type failures struct {
	testing.TB

	count int
}

func (f *failures) Errorf(string, ...any) { f.count++ }
