package kubernetes

import (
	"bufio"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	kyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/ssebridge/ssebridge/deploy/test/internal/bridgetest"
)

// objects are what manifests hold, each kind by name.
type objects struct {
	deployments map[string]*appsv1.Deployment
	configMaps  map[string]*corev1.ConfigMap
	services    map[string]*corev1.Service
	accounts    map[string]*corev1.ServiceAccount
	budgets     map[string]*policyv1.PodDisruptionBudget
	scalers     map[string]*autoscalingv2.HorizontalPodAutoscaler
	ingresses   map[string]*networkingv1.Ingress
	policies    map[string]*networkingv1.NetworkPolicy
	monitors    map[string]*monitoringv1.ServiceMonitor
	rules       map[string]*monitoringv1.PrometheusRule
}

// decode decodes manifests as the API does with strict validation: an unknown key, one in
// another case or one given twice is an error.
func decode(t testing.TB, manifests string) objects {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, corev1.AddToScheme, policyv1.AddToScheme, autoscalingv2.AddToScheme, networkingv1.AddToScheme, monitoringv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	found := objects{
		map[string]*appsv1.Deployment{},
		map[string]*corev1.ConfigMap{},
		map[string]*corev1.Service{},
		map[string]*corev1.ServiceAccount{},
		map[string]*policyv1.PodDisruptionBudget{},
		map[string]*autoscalingv2.HorizontalPodAutoscaler{},
		map[string]*networkingv1.Ingress{},
		map[string]*networkingv1.NetworkPolicy{},
		map[string]*monitoringv1.ServiceMonitor{},
		map[string]*monitoringv1.PrometheusRule{},
	}
	documents := kyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(manifests)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		if blank(document) {
			continue
		}
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			t.Errorf("%v\n%s", err, document)
			continue
		}
		found.add(t, object)
	}
}

// blank tells whether a document holds nothing but comments.
func blank(document []byte) bool {
	var content any
	return yaml.Unmarshal(document, &content) == nil && content == nil
}

func (o objects) add(t testing.TB, object runtime.Object) {
	t.Helper()
	switch object := object.(type) {
	case *appsv1.Deployment:
		o.deployments[object.Name] = object
	case *corev1.ConfigMap:
		o.configMaps[object.Name] = object
	case *corev1.Service:
		o.services[object.Name] = object
	case *corev1.ServiceAccount:
		o.accounts[object.Name] = object
	case *policyv1.PodDisruptionBudget:
		o.budgets[object.Name] = object
	case *autoscalingv2.HorizontalPodAutoscaler:
		o.scalers[object.Name] = object
	case *networkingv1.Ingress:
		o.ingresses[object.Name] = object
	case *networkingv1.NetworkPolicy:
		o.policies[object.Name] = object
	case *monitoringv1.ServiceMonitor:
		o.monitors[object.Name] = object
	case *monitoringv1.PrometheusRule:
		o.rules[object.Name] = object
	default:
		t.Errorf("a %T, which no test looks at", object)
	}
}

// settings are the keys of the bridge's configuration that a pod has to agree with.
type settings struct {
	Listen, Admin string
	Drain         struct{ Delay, Grace string }
}

// duration is a duration of the settings, in Go's form.
func duration(t testing.TB, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// checkPod checks what the bridge counts on in a pod that it is in, alone or beside an app.
func (o objects) checkPod(t testing.TB, deployment string) {
	t.Helper()
	d, ok := o.deployments[deployment]
	if !ok {
		t.Fatalf("there is no Deployment %s", deployment)
	}
	pod := d.Spec.Template.Spec
	if got := d.Spec.Template.Labels; !includes(got, d.Spec.Selector.MatchLabels) {
		t.Errorf("the selector %v does not find the pods, %v", d.Spec.Selector.MatchLabels, got)
	}
	c := bridgeContainer(t, pod)
	configuration := o.configuration(t, pod, c)
	bridgetest.Check(t, configuration)
	var s settings
	if err := yaml.Unmarshal([]byte(configuration), &s); err != nil {
		t.Fatal(err)
	}
	checkGrace(t, pod, s)
	checkPorts(t, c, s)
	checkProbes(t, c)
	checkSecurity(t, pod)
	if c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
		t.Error("the bridge's memory has no request or no limit")
	}
}

// bridgeContainer is the bridge, as a native sidecar or as a container.
func bridgeContainer(t testing.TB, pod corev1.PodSpec) corev1.Container {
	t.Helper()
	for _, c := range pod.InitContainers {
		if c.Name == "ssebridge" {
			if c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways {
				t.Error("without restartPolicy: Always the init container is no sidecar: the app would never start")
			}
			return c
		}
	}
	at := slices.IndexFunc(pod.Containers, func(c corev1.Container) bool { return c.Name == "ssebridge" })
	if at < 0 {
		t.Fatal("no container is named ssebridge")
	}
	return pod.Containers[at]
}

// configuration is the file that the container is told to read, out of the ConfigMap that
// is mounted there.
func (o objects) configuration(t testing.TB, pod corev1.PodSpec, c corev1.Container) string {
	t.Helper()
	if at := slices.Index(c.Args, "--config"); c.Args[0] != "serve" || at < 0 || c.Args[at+1] != "/etc/ssebridge/ssebridge.yaml" {
		t.Fatalf("arguments %q", c.Args)
	}
	for _, mount := range c.VolumeMounts {
		if mount.MountPath != "/etc/ssebridge" {
			continue
		}
		if mount.SubPath != "" || !mount.ReadOnly {
			t.Errorf("the mount %+v: with a subPath a change would not arrive, and nothing writes there", mount)
		}
		for _, volume := range pod.Volumes {
			if volume.Name == mount.Name && volume.ConfigMap != nil {
				if m, ok := o.configMaps[volume.ConfigMap.Name]; ok {
					return m.Data["ssebridge.yaml"]
				}
			}
		}
	}
	t.Fatal("no ConfigMap of these manifests is mounted at /etc/ssebridge")
	return ""
}

// checkGrace checks that the kubelet waits for the bridge: an app is ended before its
// sidecar, within the same time.
func checkGrace(t testing.TB, pod corev1.PodSpec, s settings) {
	t.Helper()
	needed := duration(t, s.Drain.Delay) + duration(t, s.Drain.Grace) + 5*time.Second
	for _, c := range pod.Containers {
		if c.Lifecycle != nil && c.Lifecycle.PreStop != nil && c.Lifecycle.PreStop.Sleep != nil {
			needed += time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
		}
	}
	if pod.TerminationGracePeriodSeconds == nil {
		t.Fatalf("terminationGracePeriodSeconds is the default, want %v at least", needed)
	}
	if got := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second; got < needed {
		t.Errorf("terminationGracePeriodSeconds is %v, want %v at least", got, needed)
	}
}

// checkPorts checks that the container's ports are those that the bridge listens on, at
// addresses that are reached from outside of the pod.
func checkPorts(t testing.TB, c corev1.Container, s settings) {
	t.Helper()
	ports := map[string]int32{}
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	for name, address := range map[string]string{"http": s.Listen, "admin": s.Admin} {
		port, err := portOf(address)
		if err != nil || ports[name] != port {
			t.Errorf("the configuration has %q for %s, the container has %d (%v)", address, name, ports[name], err)
		}
	}
}

// checkProbes checks that only readiness waits for upstreams: a sidecar is started before
// its app, and a bridge whose upstream is away must not be killed.
func checkProbes(t testing.TB, c corev1.Container) {
	t.Helper()
	for path, probes := range map[string][]*corev1.Probe{"/healthz": {c.StartupProbe, c.LivenessProbe}, "/readyz": {c.ReadinessProbe}} {
		for _, p := range probes {
			if p == nil || p.HTTPGet == nil || p.HTTPGet.Path != path || p.HTTPGet.Port.StrVal != "admin" {
				t.Errorf("want a probe of %s at the admin port, got %+v", path, p)
			}
		}
	}
}

// checkSecurity checks every container: what the pod says holds unless it says otherwise.
func checkSecurity(t testing.TB, pod corev1.PodSpec) {
	t.Helper()
	p := pod.SecurityContext
	if p == nil || p.RunAsNonRoot == nil || !*p.RunAsNonRoot || p.RunAsUser == nil || *p.RunAsUser == 0 {
		t.Errorf("the pod may run as root: %+v", p)
	}
	if p == nil || p.SeccompProfile == nil || p.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("the pod has no seccomp profile: %+v", p)
	}
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		t.Error("the pod has a token of the API, which nothing in it needs")
	}
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		s := c.SecurityContext
		if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem ||
			s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
			s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
			t.Errorf("container %s may more than it needs: %+v", c.Name, s)
		}
	}
}

// checkService checks that a Service finds a Deployment's pods, and that clients do not get
// to the admin port through it.
func (o objects) checkService(t testing.TB, name string) {
	t.Helper()
	service, ok := o.services[name]
	if !ok {
		t.Fatalf("there is no Service %s", name)
	}
	if !includes(o.deployments[name].Spec.Template.Labels, service.Spec.Selector) {
		t.Errorf("the Service's selector %v finds nothing", service.Spec.Selector)
	}
	if len(service.Spec.Ports) != 1 || service.Spec.Ports[0].TargetPort.StrVal != "http" {
		t.Errorf("the Service's ports are %+v, want http alone", service.Spec.Ports)
	}
	budget, ok := o.budgets[name]
	if !ok || !maps.Equal(budget.Spec.Selector.MatchLabels, o.deployments[name].Spec.Selector.MatchLabels) {
		t.Error("there is no PodDisruptionBudget of these pods")
	}
}

// includes tells whether labels have all that is selected.
func includes(labels, selected map[string]string) bool {
	for key, value := range selected {
		if labels[key] != value {
			return false
		}
	}
	return len(selected) > 0
}
